#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

baseline=      # Whether to train the baseline without distillation, too (default: true,
               # unless --st_config asks for another model).
seed=1         # Of the teacher, the student and the translation models.
stage=1        # Processes starts from the specified stage.
stop_stage=13  # Processes is stopped at the specified stage.
expdir=        # Directory to save experiments (default: exp, exp/seed<N> but for seed 1).
st_config=     # Config for ST model training (default: conf/train_st.yaml).

# All other options are samu_st.sh's: ./samu_st.sh --help
opts=()
while [ $# -gt 0 ]; do
    name=${1#--}
    name=${name//-/_}
    case "${name}" in
        help)
            echo "Options of $0:"
            sed -n '/^baseline=/,/^$/{/^$/d;s/^\([a-z_]*\)=/    --\1 /;s/^ *#/      &/;p;}' "$0"
            printf '\nAll other options are those of ./samu_st.sh --help\n'
            exit 0 ;;
        baseline | seed | stage | stop_stage | expdir | st_config)
            declare "${name}=${2:?value of $1 is missing}"
            shift 2 ;;
        *)
            opts+=("--${name}" "${2?value of $1 is missing}")
            shift 2 ;;
    esac
done
if [ -z "${baseline}" ]; then
    [ -n "${st_config}" ] && baseline=false || baseline=true
fi
case "${baseline}" in
    true | false) ;;
    *)
        echo "Error: --baseline must be true or false: '${baseline}'" >&2
        exit 2 ;;
esac
as_configured=true # whether both trainings make the updates that their YAML files set
for option in "${opts[@]}"; do
    case "${option}" in
        --samu_config | --samu_args | --samu_model | --samu_exp | --st_args)
            as_configured=false ;;
        --st_tag | --st_exp)
            if [ "${baseline}" = true ]; then
                echo "Error: ${option} names the folder of one model, but two are trained: pass" \
                    "--baseline false, too" >&2
                exit 2
            fi ;;
    esac
done
[ -z "${st_config}" ] && st_config=conf/train_st.yaml
if [ -z "${expdir}" ]; then
    expdir=exp
    [ "${seed}" = 1 ] || expdir=exp/seed${seed}
fi
baseline_config=conf/tuning/train_st_xlsr.yaml

updates() {
    awk '/^max_epoch:/ { e = $2 } /^num_iters_per_epoch:/ { n = $2 } END { print e * n }' "$1"
}

run() {
    ./samu_st.sh \
        --ngpu 0 \
        --nj 2 \
        --inference_nj 1 \
        --batch_size 32 \
        --expdir "${expdir}" \
        --samu_train_set samu_train \
        --samu_valid_set samu_dev \
        --train_set train \
        --valid_set dev \
        --test_sets "test_menardi test" \
        --teacher "" \
        --teacher_bitext data/bitext/bitext.tsv \
        --teacher_args "--updates 400 --seed ${seed}" \
        --inference_samu_model valid.cos_right.best.pth \
        --st_config "${st_config}" \
        --train_args "--seed ${seed} --frames_cache_dtype float32" \
        --tgt_token_type bpe \
        --tgt_nbpe 140 \
        --min_wav_duration 0.2 \
        --score_args "${score_args}" \
        "${opts[@]}" "$@"
}

score_args="--slots data/slots.txt --allow_extra true"
score_args+=" --system template_floor=data/template_floor/text --note seed=${seed}"
if "${as_configured}"; then
    if grep -qE "^(init_from_samu: true|samu_weight:)" "${st_config}"; then
        score_args+=" updates_distillation=$(updates conf/train_samu.yaml)"
    fi
    score_args+=" updates_translation=$(updates "${st_config}")"
fi

least() { echo "$(($1 < $2 ? $1 : $2))"; }
most() { echo "$(($1 > $2 ? $1 : $2))"; }

if [ "${baseline}" = true ]; then
    score_args+=" updates_baseline=$(updates "${baseline_config}")"
    if [ "${stop_stage}" -ge 11 ] && [ "${stage}" -le 12 ]; then
        # Both models need the data and the statistics of stages 1-5 and 10.
        if [ "${stage}" -le 10 ]; then
            run --stage "${stage}" --stop_stage 5
            run --stage 10 --stop_stage 10
        fi
        # Side by side with half of the threads each, as batches are too small for more:
        # that is faster than one after the other.
        threads=$(most 1 "$(($(nproc) / 2))")
        export threads
        mkdir -p "${expdir}"
        set -m # a process group of its own, which can be killed as a whole
        run --st_config "${baseline_config}" --test_sets test \
            --stage "$(most "${stage}" 11)" --stop_stage "$(least "${stop_stage}" 12)" \
            > "${expdir}/baseline.log" 2>&1 &
        baseline_pid=$!
        set +m
        trap 'kill -- "-${baseline_pid}" 2> /dev/null || true' EXIT
        if [ "${stage}" -le 9 ]; then
            run --stage "$(most "${stage}" 6)" --stop_stage 9
        fi
        run --stage "$(most "${stage}" 11)" --stop_stage "$(least "${stop_stage}" 12)"
        if [ "${stop_stage}" -ge 13 ]; then
            run --stage 13 --stop_stage 13
        fi
        echo "waiting for the baseline: ${expdir}/baseline.log"
        if ! wait "${baseline_pid}"; then
            tail -n 30 "${expdir}/baseline.log"
            echo "Error: the baseline failed, see ${expdir}/baseline.log"
            exit 1
        fi
        trap - EXIT
        unset threads
        stage=13
    fi
    if [ "${stop_stage}" -ge 13 ]; then
        run --stage "$(most "${stage}" 13)" --stop_stage "${stop_stage}" \
            --baseline_config "${baseline_config}"
    elif [ "${stage}" -le "${stop_stage}" ]; then
        run --stage "${stage}" --stop_stage "${stop_stage}"
    fi
else
    run --stage "${stage}" --stop_stage "${stop_stage}"
fi
