#!/usr/bin/env bash
# Data preparation for a corpus of your own, from manifests: tab-separated files with a
# header line and the columns
#   id audio language transcript translation target_language [speaker start end]
# audio is absolute or relative to the manifest; start and end are seconds and cut an
# utterance out of a long recording. Or from parquet files with the recordings inside:
# <folder>:<split> or <hub id>[/<folder>]:<split> in the place of a manifest. All are checked
# before any is written.
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}
SECONDS=0

manifest=
valid_manifest=
test_manifests=
samu_manifest=
samu_valid_manifest=
columns=
train_set=
valid_set=
samu_train_set=
samu_valid_set=
src_lang=multi
tgt_lang=en
src_case=tc
tgt_case=tc
langs=
use_src_lang=true
audio=convert
clips_dir=dump/clips
drop_faulty=false
nj=$(env -u OMP_NUM_THREADS nproc) # nproc follows it, and path.sh sets 1
python=${SAMU_PYTHON:-python3}

help_message=$(cat << EOF
Usage: $0 --manifest train.tsv --valid_manifest dev.tsv --test_manifests test.tsv,...

Options:
    --manifest            # ST training data: speech with translations.
    --valid_manifest      # ST development data.
    --test_manifests      # Test sets, separated by commas or spaces (in --local_data_opts
                          # by commas): data/<stem of the file name> each.
    --samu_manifest       # Transcribed speech for distillation; no translations needed.
    --samu_valid_manifest # The same for development.
    --columns             # Of parquet files: what they call a column of a manifest, or what
                          # is the same in all rows, e.g.
                          # transcript=sentence,speaker=client_id,language:fr
    --train_set           # Name of the training set (default: stem of the file name, split of
                          # parquet files).
    --valid_set           # Name of the development set (default: the stem).
    --samu_train_set      # Name of the distillation set (default: the stem).
    --samu_valid_set      # Name of its development set (default: the stem).
    --src_lang            # Suffix of the transcripts (default="${src_lang}").
    --tgt_lang            # Suffix of the translations (default="${tgt_lang}").
    --src_case            # Case tag of the transcripts (default="${src_case}").
    --tgt_case            # Case tag of the translations (default="${tgt_case}").
    --langs               # Source languages allowed, e.g. "es fr" (default: any).
    --use_src_lang        # false: ST data without transcripts (default="${use_src_lang}").
    --audio               # convert: decode and check each recording once, for all sets, and
                          # write it as 16 kHz FLAC unless it is that; stat: only check that
                          # the file is there and not empty (default="${audio}").
    --clips_dir           # Folder of the converted recordings (default="${clips_dir}").
    --drop_faulty         # true: leave out utterances whose audio cannot be used, instead of
                          # stopping (default="${drop_faulty}").
    --nj                  # Threads for the audio (default: the cores, "${nj}").
    --python              # Python with espnet_samu (default="${python}").
EOF
)

log "$0 $*"
. utils/parse_options.sh

if [ $# -ne 0 ]; then
    log "Error: No positional arguments are required: '$1'. A path within" \
        "--local_data_opts cannot have a blank: make a link to it (ln -s)"
    exit 2
fi

. ./path.sh
. ./cmd.sh

if [ -z "${manifest}${valid_manifest}${test_manifests}${samu_manifest}${samu_valid_manifest}" ]; then
    log "Error: give at least one manifest, such as --manifest train.tsv"
    log "${help_message}"
    exit 2
fi

# Parallel lists: manifest, name of its set, whether the set is for the distillation.
files=() sets=() samus=()
training=() others=()
# add LIST MANIFEST NAME SAMU: LIST is training or others.
add() {
    local -n list=$1
    local file=$2 name=$3 samu=$4
    if [ -z "${file}" ]; then
        return 0
    fi
    if [ -z "${name}" ]; then
        name=$(basename "${file##*:}")
        [ ! -f "${file}" ] || name=${name%.*}
    fi
    if [[ ! "${name}" =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]]; then
        log "Error: '${name}' cannot be the name of a set: use letters, digits and _ . -;" \
            "rename the manifest, or name its set (--train_set, --valid_set," \
            "--samu_train_set, --samu_valid_set)"
        exit 2
    fi
    if [[ " ${sets[*]-} " == *" ${name} "* ]]; then
        log "Error: two manifests would be written to data/${name}: rename one, or name its set (--train_set, --valid_set, --samu_train_set, --samu_valid_set)"
        exit 2
    fi
    files+=("${file}") sets+=("${name}") samus+=("${samu}") list+=("${name}")
}
add training "${manifest}" "${train_set}" false
add others "${valid_manifest}" "${valid_set}" false
for file in ${test_manifests//,/ }; do
    add others "${file}" "" false
done
add training "${samu_manifest}" "${samu_train_set}" true
add others "${samu_valid_manifest}" "${samu_valid_set}" true

prepare() {
    local check_only=$1 i use_transcripts given status=0
    for i in "${!files[@]}"; do
        # Distillation learns from transcripts, with --use_src_lang false, too.
        use_transcripts=${use_src_lang}
        if "${samus[i]}"; then
            use_transcripts=true
        fi
        given=${columns}
        if [ -f "${files[i]}" ]; then
            given=
        fi
        ${python} -m espnet_samu.bin.prepare manifest \
            --manifest "${files[i]}" \
            --output_dir "data/${sets[i]}" \
            --src_lang "${src_lang}" --tgt_lang "${tgt_lang}" \
            --src_case "${src_case}" --tgt_case "${tgt_case}" \
            --langs "${langs}" --samu "${samus[i]}" --columns "${given}" \
            --audio "${audio}" --clips_dir "${clips_dir}" \
            --drop_faulty "${drop_faulty}" --nj "${nj}" \
            --use_src_lang "${use_transcripts}" --check_only "${check_only}" || status=1
    done
    return "${status}"
}

log "stage 1: Check ${#files[@]} manifests"
prepare true
log "stage 2: Write data directories"
rm -f data/.sets
prepare false
log "stage 3: Validate"
for dset in "${sets[@]}"; do
    utils/validate_data_dir.sh --no-feats --no-text "data/${dset}"
done
if [ ${#training[@]} -gt 0 ] && [ ${#others[@]} -gt 0 ]; then
    ${python} -m espnet_samu.bin.prepare overlaps --text "text.${src_case}.${src_lang}" \
        --training "${training[@]}" --others "${others[@]}"
fi
# The sets of this corpus: samu_st.sh refuses older ones that are still in data/.
printf '%s\n' "${sets[@]}" > data/.sets

log "Successfully finished. [elapsed=${SECONDS}s]"
