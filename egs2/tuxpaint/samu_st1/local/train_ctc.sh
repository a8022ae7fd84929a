#!/usr/bin/env bash
# Train the encoder of the study's CTC arm: the encoder behind the frozen Whisper, by CTC
# on the transcripts that the student is distilled on, in the way of a translation model
# whose translations are the transcripts. Only so are Whisper's frames computed once.
set -e
set -u
set -o pipefail

ctc_config=conf/tuning/train_ctc.yaml
output_dir=           # Experiment folder.
nbpe=500              # Pieces, of all languages together.
seed=1
ngpu=0
# shellcheck disable=SC2034  # parse_options.sh prints it
help_message="Usage: $0 --output_dir <dir> [--ctc_config ${ctc_config}] [--seed 1] [--nbpe 500] [--ngpu 0]"

. utils/parse_options.sh

if [ -z "${output_dir}" ]; then
    echo "Error: --output_dir is required" >&2
    exit 2
fi

run() {
    ./run.sh --baseline false --seed "${seed}" --ngpu "${ngpu}" \
        --train_set samu_train --valid_set samu_dev --test_sets samu_dev \
        --tgt_lang multi --tgt_nbpe "${nbpe}" --st_config "${ctc_config}" \
        --st_exp "${output_dir}" --st_stats_dir exp/study/ctc_stats "$@"
}
# Pieces and statistics are those of all seeds; one of them makes both.
exec 9> exp/study/.ctc.lock
flock 9
if [ ! -s exp/study/ctc_stats/train/text_shape.bpe ]; then
    run --stage 5 --stop_stage 5
    run --stage 10 --stop_stage 10
fi
flock -u 9
run --stage 11 --stop_stage 11
