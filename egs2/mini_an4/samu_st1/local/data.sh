#!/usr/bin/env bash
# Seven utterances of CMU's AN4, of egs2/mini_an4/st1, as a translation from English into
# English: for tests of the stages, not of quality.
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
archive=../st1/downloads.tar.gz
python=${SAMU_PYTHON:-python3}

log "$0 $*"
. utils/parse_options.sh

if [ $# -ne 0 ]; then
    log "Error: No positional arguments are required."
    exit 2
fi

. ./path.sh
. ./cmd.sh

an4=$PWD/downloads/an4

if [ ${stage} -le 1 ] && [ ${stop_stage} -ge 1 ]; then
    log "stage 1: Untar ${archive}"
    if [ ! -e downloads ]; then
        tar -xf "${archive}"
    fi
fi

if [ ${stage} -le 2 ] && [ ${stop_stage} -ge 2 ]; then
    log "stage 2: Data preparation"
    mkdir -p data
    # "<s> YES </s> (an251-fash-b)" is the text of an4_clstk/fash/an251-fash-b.sph.
    for name in train test; do
        paste "${an4}/etc/an4_${name}.fileids" "${an4}/etc/an4_${name}.transcription" \
            | sed -E "s|^([^\t]*/)([^\t]*)\t(<s> )?(.*[A-Z])( </s>)? \(.*|\2\t${an4}/wav/\1\2.sph\ten\t\4\t\4\ten|" \
            > "data/${name}.lines"
    done
    header="id\taudio\tlanguage\ttranscript\ttranslation\ttarget_language"
    { echo -e "${header}"; head -n 1 data/train.lines; } > data/train_dev.tsv
    { echo -e "${header}"; tail -n +2 data/train.lines; } > data/train_nodev.tsv
    { echo -e "${header}"; cat data/test.lines; } > data/test.tsv
    { echo -e "lang\ttext\tenglish"; cut -f 3-5 data/train.lines; } > data/bitext.tsv
    rm data/{train,test}.lines
    for name in train_dev train_nodev test; do
        ${python} -m espnet_samu.bin.prepare manifest \
            --manifest "data/${name}.tsv" --output_dir "data/${name}"
        utils/validate_data_dir.sh --no-feats --no-text "data/${name}"
    done
fi

log "Successfully finished. [elapsed=${SECONDS}s]"
