#!/usr/bin/env bash
# Europarl-ST v1.1: speeches in the European Parliament, 2008-2012, in nine languages
# with the official translations into the eight others (72 directions). CC BY-NC 4.0.
# From https://www.mllp.upv.es/europarl-st, about 20 GB:
#   v1.1/<src>/audios/<speech>.m4a              whole interventions
#   v1.1/<src>/<tgt>/{train,train-noisy,dev,test}/
#       segments.lst                            speech, start, end (seconds)
#       segments.<src> segments.<tgt>           aligned with it
#       speeches.lst speakers.lst               aligned with each other
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}
SECONDS=0

europarl_st=${EUROPARL_ST:-}
scenario=x2en
tag=
src_langs=
tgt_langs=
st_src_langs=
samu_langs=
samu_train_set=samu_train
samu_valid_set=samu_dev
with_noisy=false
clips_dir=dump/clips
nj=$(env -u OMP_NUM_THREADS nproc) # nproc follows it, and path.sh sets 1
python=${SAMU_PYTHON:-python3}

# shellcheck disable=SC2034  # parse_options.sh prints it
help_message=$(cat << EOF
Usage: $0 --europarl_st <dir> [--scenario x2en|m2m|zeroshot]

Options (lists of languages are separated by commas):
    --europarl_st    # The folder v1.1, or the one that holds it (default: EUROPARL_ST of
                     # the environment, else of db.sh).
    --scenario       # x2en: all to English; m2m: all to all; zeroshot: tested as x2en,
                     # trained on --st_src_langs only (default="${scenario}").
    --tag            # Names the combined sets train.<tag>, dev.<tag>, test.<tag> and
                     # their translations text.tc.<tag> (default: the scenario).
    --src_langs      # Languages spoken (default: all).
    --tgt_langs      # Languages of the translations (default: en; m2m: all).
    --st_src_langs   # zeroshot: languages spoken in training.
    --samu_langs     # Languages of the distillation (default: all).
    --samu_train_set # Name of the distillation's training set (default="${samu_train_set}").
    --samu_valid_set # Name of its validation set (default="${samu_valid_set}").
    --with_noisy     # Whether train-noisy is trained on, too (default="${with_noisy}").
    --clips_dir      # Folder of the recordings as 16 kHz FLAC (default="${clips_dir}").
    --nj             # Threads that decode recordings (default: the cores, "${nj}").
    --python         # Python with espnet_samu (default="${python}").
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
. ./db.sh

[ -z "${europarl_st}" ] && europarl_st=${EUROPARL_ST:-}
if [ -z "${europarl_st}" ]; then
    log "Error: pass --europarl_st <dir>: the folder v1.1 of" \
        "https://www.mllp.upv.es/europarl-st; or set EUROPARL_ST in the environment"
    exit 2
fi
root=${europarl_st}
if [ -d "${root}/v1.1" ]; then
    root=${root}/v1.1
fi
if [ ! -d "${root}" ]; then
    log "Error: --europarl_st ${europarl_st}: no such folder"
    exit 2
fi
if ! compgen -G "${root}/*/audios" > /dev/null; then
    log "Error: --europarl_st ${europarl_st}: no <language>/audios in it; name the folder v1.1"
    exit 2
fi
[ -z "${tag}" ] && tag=${scenario}

log "stage 1: Prepare ${tag} from ${root}"
${python} -m espnet_samu.bin.prepare europarl_st \
    --root "$(realpath "${root}")" \
    --scenario "${scenario}" \
    --tag "${tag}" \
    --src_langs "${src_langs}" \
    --tgt_langs "${tgt_langs}" \
    --st_src_langs "${st_src_langs}" \
    --samu_langs "${samu_langs}" \
    --samu_train_set "${samu_train_set}" \
    --samu_valid_set "${samu_valid_set}" \
    --with_noisy "${with_noisy}" \
    --clips_dir "${clips_dir}" \
    --nj "${nj}" \
    --output_dir data
report=data/local/${tag}
log "What was left out or changed: ${report}/counts.md; each case: ${report}/faults.tsv"

log "stage 2: Validate"
while read -r dset; do
    utils/validate_data_dir.sh --no-feats --no-text "data/${dset}"
done < "${report}/sets"

log "Successfully finished. [elapsed=${SECONDS}s]"
