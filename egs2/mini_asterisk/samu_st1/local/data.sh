#!/usr/bin/env bash
# mini_asterisk: telephone prompts, spoken by people, joined to sentences.
#
# 494 recordings (400 s) by five speakers in es, fr, it and ru, from Asterisk's prompt
# sets; DATA_LICENSE.md has the credits. With the defaults 7000 training utterances
# (7.6 h) of 15 templates are composed from them, and 140 held-out contents in each
# language. es and fr have translations, it and ru only transcripts in training.
# Each unit was recorded once: the tests are new combinations of known recordings.
# Only test_prompts is not composed: 62 whole prompts, a harder test.
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
seed=1
train_per_lang=1750
dev_per_lang=60
test_per_lang=140
bitext_contents=6000
nj=2
python=${SAMU_PYTHON:-python3}

# shellcheck disable=SC2034  # parse_options.sh prints it
help_message=$(cat << EOF
Usage: $0 [--stage 1] [--stop_stage 100] [--seed 1] [--train_per_lang 1750]

Options:
    --stage           # 1: unpack, 2: compose, 3: validate (default="${stage}").
    --stop_stage      # Last stage to run (default="${stop_stage}").
    --seed            # Chooses the training contents; dev and test stay the same (default="${seed}").
    --train_per_lang  # Training utterances of each language (default="${train_per_lang}").
    --dev_per_lang    # Development contents, the same in all languages (default="${dev_per_lang}").
    --test_per_lang   # Test contents, the same in all languages (default="${test_per_lang}").
    --bitext_contents # Contents of the teacher's training bitext (default="${bitext_contents}").
    --nj              # Threads (default="${nj}").
    --python          # Python with numpy and soundfile (default="${python}").
EOF
)

log "$0 $*"
. utils/parse_options.sh

if [ $# -ne 0 ]; then
    log "Error: No positional arguments are required."
    exit 2
fi

. ./path.sh
. ./cmd.sh

if [ ${stage} -le 1 ] && [ ${stop_stage} -ge 1 ]; then
    # The marker is the archives' checksum: a new archive is unpacked again.
    sum=$(cat downloads.tar.gz prompts.tar.gz | cksum)
    if [ "$(cat downloads/.done 2> /dev/null)" = "${sum}" ]; then
        log "stage 1: downloads/ is there already"
    else
        log "stage 1: Untar downloads.tar.gz and prompts.tar.gz"
        rm -rf downloads
        tar -xzf downloads.tar.gz
        tar -xzf prompts.tar.gz -C downloads
        echo "${sum}" > downloads/.done
    fi
fi

sets="samu_train samu_dev train dev dev_menardi test test_menardi test_prompts"
# Whether what was composed is still there: sets or recordings may have been removed.
is_composed() {
    local file dset
    [ "$(cat data/.composed 2> /dev/null)" = "${state}" ] || return 1
    for file in bitext/bitext.tsv slots.txt template_floor/text; do
        [ -s "data/${file}" ] || return 1
    done
    for dset in ${sets}; do
        [ -s "data/${dset}/wav.scp" ] || return 1
        cut -d " " -f 2- "data/${dset}/wav.scp"
    done > data/.wavs
    [ -z "$(sort -u data/.wavs | comm -23 - <(find data/audio -name "*.flac" | sort))" ]
}

if [ ${stage} -le 2 ] && [ ${stop_stage} -ge 2 ]; then
    options="--seed ${seed} --train_per_lang ${train_per_lang}"
    options+=" --dev_per_lang ${dev_per_lang} --test_per_lang ${test_per_lang}"
    options+=" --bitext_contents ${bitext_contents}"
    # What the composed corpus depends on: options, code, recordings.
    state="${options} $(cat local/*.py downloads/.done | cksum)"
    if is_composed; then
        log "stage 2: data/ is there already, made with: ${options}"
    else
        log "stage 2: Compose utterances: ${options}"
        rm -f data/.composed
        # shellcheck disable=SC2086
        ${python} local/compose.py --downloads downloads --output_dir data \
            ${options} --nj "${nj}"
        echo "${state}" > data/.composed
    fi
fi

if [ ${stage} -le 3 ] && [ ${stop_stage} -ge 3 ]; then
    log "stage 3: Validate"
    for dset in ${sets}; do
        utils/validate_data_dir.sh --no-feats --no-text "data/${dset}"
    done
fi

log "Successfully finished. [elapsed=${SECONDS}s]"
