#!/usr/bin/env bash
# CoVoST-2: Common Voice's read sentences in 22 languages, translated from 21 of them
# into English and from English into 15. About 2,900 hours; translations and recordings
# CC0. In parquet files, as the hub has them (fixie-ai/covost2), or as the corpora themselves:
# <commonvoice>/<lang>/{validated.tsv,clips/*.mp3} of release 4 (cv-corpus-4-2019-12-10),
# which is not public any more, and <covost2>/covost_v2.<src>_<tgt>.tsv or .tsv.tar.gz.
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}
SECONDS=0

stage=1
stop_stage=100
scenario=x2en
langs=
commonvoice=${COMMONVOICE:-}
covost2=${COVOST2:-}
covost2_parquet=
dev_per_direction=300
samu_langs=
samu_commonvoice=
samu_train_set=samu_train
samu_valid_set=samu_dev
samu_dev_per_lang=100
samu_max_clips=100000
audio=convert
keep_quotes=false
clips_dir=dump/clips
nj=$(env -u OMP_NUM_THREADS nproc) # nproc follows it, and path.sh sets 1
python=${SAMU_PYTHON:-python3}

# shellcheck disable=SC2034  # parse_options.sh prints it
help_message=$(cat << EOF
Usage: $0 [--scenario x2en] --covost2_parquet <dir or hub id>
       $0 [--scenario x2en] --commonvoice <dir> --covost2 <dir>

Options:
    --stage             # 1: prepare, 2: validate (default="${stage}").
    --stop_stage        # Last stage to run (default="${stop_stage}").
    --scenario          # x2en, high2en, en2x or multi (default="${scenario}").
    --langs             # Only these languages beside English, e.g. fr,de (default: all).
    --commonvoice       # Folder of Common Voice release 4 (default: COMMONVOICE of the
                        # environment, else of db.sh).
    --covost2           # Folder of the translations (default: COVOST2 of the environment,
                        # else of db.sh, else --commonvoice).
    --covost2_parquet   # Instead of both: folder with <src>_<tgt>/*.parquet, or the hub id
                        # fixie-ai/covost2, of which the directions are downloaded.
    --dev_per_direction # Utterances of each direction in the development set of all of
                        # them; 0: all (default="${dev_per_direction}").
    --samu_langs        # Languages of the distillation, e.g. fr,de,cs; none: no such sets
                        # (default: those of conf/samu_langs.tsv that are there).
    --samu_commonvoice  # Another release for them (default: --commonvoice).
    --samu_train_set    # Name of the distillation set (default="${samu_train_set}").
    --samu_valid_set    # Name of its development set (default="${samu_valid_set}").
    --samu_dev_per_lang # Sentences of each language in it (default="${samu_dev_per_lang}").
    --samu_max_clips    # Most clips of a language in the distillation set; 0: all
                        # (default="${samu_max_clips}").
    --audio             # convert: decode and check each clip once, for all sets, and write
                        # it as 16 kHz FLAC; stat: look at its size; the sets name the mp3
                        # files then (default="${audio}").
    --keep_quotes       # true: leave the quotes of CSV writers in Common Voice's transcripts,
                        # as CoVoST-2's authors do (default="${keep_quotes}").
    --clips_dir         # Folder of the converted clips (default="${clips_dir}").
    --nj                # Threads (default: the cores, "${nj}").
    --python            # Python with espnet_samu (default="${python}").
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

corpus=()
if [ -n "${covost2_parquet}" ]; then
    corpus+=(--covost2_parquet "${covost2_parquet}")
else
    [ -z "${commonvoice}" ] && commonvoice=${COMMONVOICE:-}
    [ -z "${covost2}" ] && covost2=${COVOST2:-}
    [ -z "${covost2}" ] && covost2=${commonvoice}
    if [ -z "${commonvoice}" ]; then
        log "Error: pass --covost2_parquet <dir or hub id>, or --commonvoice <dir>, or set" \
            "COMMONVOICE in the environment"
        exit 2
    fi
    corpus+=(--commonvoice "${commonvoice}" --covost2 "${covost2}")
fi
[ -n "${samu_commonvoice}" ] && corpus+=(--samu_commonvoice "${samu_commonvoice}")

if [ ${stage} -le 1 ] && [ ${stop_stage} -ge 1 ]; then
    log "stage 1: Prepare ${scenario} from ${covost2_parquet:-${commonvoice} and ${covost2}}"
    ${python} -m espnet_samu.bin.prepare covost2 \
        --scenario "${scenario}" \
        --langs "${langs}" \
        --dev_per_direction "${dev_per_direction}" \
        --samu_langs "${samu_langs}" \
        --samu_train_set "${samu_train_set}" \
        --samu_valid_set "${samu_valid_set}" \
        --samu_dev_per_lang "${samu_dev_per_lang}" \
        --samu_max_clips "${samu_max_clips}" \
        --audio "${audio}" \
        --keep_quotes "${keep_quotes}" \
        --clips_dir "${clips_dir}" \
        --nj "${nj}" \
        --output_dir data "${corpus[@]}"
fi

if [ ${stage} -le 2 ] && [ ${stop_stage} -ge 2 ]; then
    log "stage 2: Validate"
    # Of each direction, of the scenario, of the distillation.
    for dir in data/{train,dev,test}.* "data/${samu_train_set}" "data/${samu_valid_set}"; do
        if [ -d "${dir}" ]; then
            utils/validate_data_dir.sh --no-feats --no-text "${dir}"
        fi
    done
fi

log "Successfully finished. [elapsed=${SECONDS}s]"
