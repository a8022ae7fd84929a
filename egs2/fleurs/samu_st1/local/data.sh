#!/usr/bin/env bash
# FLEURS: the same sentences of FLoRes-101 read aloud in 102 languages, about 12 hours each
# (arXiv 2205.12446). CC BY 4.0. In parquet files, as the hub has it (google/fleurs):
#   <lang_region>/{train,validation,test}-*.parquet
# or as its authors made it:
#   <lang_region>/{train,dev,test}.tsv <lang_region>/audio/{train,dev,test}/*.wav
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}
SECONDS=0

fleurs=${FLEURS:-}
langs=
tag=x2en
test_only=false
samu_train_set=samu_train
samu_valid_set=samu_dev
audio=convert
clips_dir=dump/clips
nj=$(env -u OMP_NUM_THREADS nproc) # nproc follows it, and path.sh sets 1
python=${SAMU_PYTHON:-python3}

# shellcheck disable=SC2034  # parse_options.sh prints it
help_message=$(cat << EOM
Usage: $0 --fleurs <dir or hub id>

Options:
    --fleurs         # Folder of the languages (fr_fr, ...), or the hub id google/fleurs, of
                     # which these languages and splits are downloaded (default: FLEURS of
                     # the environment, else of db.sh, where that is a folder).
    --langs          # Only these languages beside English, e.g. fr,zh-CN (default: all).
    --tag            # Names the sets test.<tag>, nway.<tag> (default="${tag}").
    --test_only      # true: these two alone, of the test split (default="${test_only}").
    --samu_train_set # Name of the distillation set (default="${samu_train_set}").
    --samu_valid_set # Name of its development set (default="${samu_valid_set}").
    --audio          # convert: decode and check each recording once, for all sets, and write
                     # it as 16 kHz FLAC; stat: look at its size; the sets name the wav
                     # files then (default="${audio}").
    --clips_dir      # Folder of the converted recordings (default="${clips_dir}").
    --nj             # Threads that decode recordings (default: the cores, "${nj}").
    --python         # Python with espnet_samu (default="${python}").
EOM
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
. ./db.sh

# ESPnet's db.sh says "downloads", which need not be there.
[ -z "${fleurs}" ] && [ -d "${FLEURS:-}" ] && fleurs=${FLEURS}
if [ -z "${fleurs}" ]; then
    log "Error: pass --fleurs <dir or hub id>, such as google/fleurs, or set FLEURS in the" \
        "environment"
    exit 2
fi

log "stage 1: Prepare ${tag} from ${fleurs}"
${python} -m espnet_samu.bin.prepare fleurs \
    --fleurs "${fleurs}" \
    --langs "${langs}" \
    --tag "${tag}" \
    --test_only "${test_only}" \
    --samu_train_set "${samu_train_set}" \
    --samu_valid_set "${samu_valid_set}" \
    --audio "${audio}" \
    --clips_dir "${clips_dir}" \
    --nj "${nj}" \
    --output_dir data

log "stage 2: Validate"
sets="test.${tag} nway.${tag}"
"${test_only}" || sets+=" train.${tag} dev.${tag} ${samu_train_set} ${samu_valid_set}"
for dset in ${sets}; do
    utils/validate_data_dir.sh --no-feats --no-text "data/${dset}"
done

log "Successfully finished. [elapsed=${SECONDS}s]"
