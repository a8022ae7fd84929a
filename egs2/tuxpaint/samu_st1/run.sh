#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

encoder=openai/whisper-base                 # Hub id or folder of the speech encoder.
teacher=intfloat/multilingual-e5-small      # Hub id or folder of the text encoder.
baseline=true    # Whether to train the baseline without distillation, too.
seed=1           # Of the student and the translation models.
stage=1          # Processes starts from the specified stage.
stop_stage=13    # Processes is stopped at the specified stage.

# All other options are samu_st.sh's: ./samu_st.sh --help
opts=()
while [ $# -gt 0 ]; do
    name=${1#--}
    name=${name//-/_}
    case "${name}" in
        help)
            echo "Options of $0:"
            sed -n '/^encoder=/,/^$/{/^$/d;s/^\([a-z_]*\)=/    --\1 /;s/^ *#/      &/;p;}' "$0"
            printf '\nAll other options are those of ./samu_st.sh --help\n'
            exit 0 ;;
        encoder | teacher | baseline | seed | stage | stop_stage)
            declare "${name}=${2:?value of $1 is missing}"
            shift 2 ;;
        *)
            opts+=("--${name}" "${2?value of $1 is missing}")
            shift 2 ;;
    esac
done
case "${baseline}" in
    true | false) ;;
    *)
        echo "Error: --baseline must be true or false: '${baseline}'" >&2
        exit 2 ;;
esac
baseline_config=conf/tuning/train_st_whisper.yaml
expdir=exp
[ "${seed}" = 1 ] || expdir=exp/seed${seed}

run() {
    ./samu_st.sh \
        --ngpu 0 \
        --nj 2 \
        --inference_nj 1 \
        --batch_size 32 \
        --expdir "${expdir}" \
        --audio_format flac \
        --min_wav_duration 0.2 \
        --max_wav_duration 8 \
        --samu_train_set samu_train \
        --samu_valid_set samu_dev \
        --train_set train \
        --valid_set dev \
        --test_sets "test_seen test_held test_voices" \
        --teacher "${teacher}" \
        --teacher_prompt "query: " \
        --samu_config conf/train_samu.yaml \
        --st_config conf/train_st.yaml \
        --inference_config conf/decode_st.yaml \
        --train_args "--seed ${seed} --frontend_conf model=${encoder}" \
        --tgt_token_type bpe \
        --tgt_nbpe 500 \
        --score_args "--note seed=${seed}" \
        "${opts[@]}" "$@"
}

least() { echo "$(($1 < $2 ? $1 : $2))"; }
most() { echo "$(($1 > $2 ? $1 : $2))"; }

if [ "${stage}" -le 12 ]; then
    run --stage "${stage}" --stop_stage "$(least "${stop_stage}" 12)"
    if "${baseline}" && [ "${stop_stage}" -ge 11 ]; then
        run --st_config "${baseline_config}" \
            --stage "$(most "${stage}" 11)" --stop_stage "$(least "${stop_stage}" 12)"
    fi
fi
if [ "${stop_stage}" -ge 13 ]; then
    compared=()
    "${baseline}" && compared=(--baseline_config "${baseline_config}")
    run --stage "$(most "${stage}" 13)" --stop_stage "${stop_stage}" "${compared[@]}"
fi
