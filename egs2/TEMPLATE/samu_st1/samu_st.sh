#!/usr/bin/env bash

# Speech translation with a semantically distilled speech encoder: SAMU-XLS-R.
# Stages 6-9 and 13 are done here, all others by ESPnet's own ./st.sh.

# shellcheck disable=SC2034,SC2154  # options are read, and names set, by espnet_samu.bin.recipe
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}
SECONDS=0

# General configuration
stage=1                 # Processes starts from the specified stage.
stop_stage=10000        # Processes is stopped at the specified stage.
skip_data_prep=false    # Skip data preparation stages (1-5).
skip_train=false        # Skip training stages (6-11).
skip_eval=false         # Skip decoding and evaluation stages (12-13).
test_only=false         # Score a translation model (--st_exp), or a student (--samu_model), that
                        # was trained elsewhere: only the test sets are prepared; stages 5, 7, 8,
                        # 10, 11 are skipped, 6 and 9 where no student is named.
skip_packing=true       # Skip the packing stage (14).
skip_upload_hf=true     # Skip the uploading stage (15).
ngpu=1                  # The number of gpus ("0" uses cpu, otherwise use gpu).
num_nodes=1             # The number of nodes.
gpu_inference=false     # Whether to perform gpu decoding.
dumpdir=dump            # Directory to dump features.
expdir=exp              # Directory to save experiments.
python=python3          # Specify python to execute espnet commands.

# Data related
feats_type=raw          # Feature type: raw, the only one.
audio_format=flac       # Audio format: wav, flac, wav.ark, flac.ark.
speed_perturb_factors=  # As st.sh's: for the translation data only.
src_lang=multi          # Transcripts are text.<src_case>.<src_lang>.
tgt_lang=en             # Translations are text.<tgt_case>.<tgt_lang>.
src_case=tc             # Case of the transcripts.
tgt_case=tc             # Case of the translations.
use_src_lang=false      # Whether ST training sees the transcripts, too.
train_set=              # Name of the translation training set.
valid_set=              # Name of the translation validation set.
test_sets=              # Names of the test sets.
train_langs=            # What has translation training data: source languages, "fr de", or
                        # directions, "fr-en de-en". Default: what utt2lang and utt2tgt_lang
                        # of the training set say. All else in a test set is zero-shot.

# Target vocabulary related
tgt_token_type=bpe      # Tokenization type of the translations: bpe, char, or hugging_face for mBART.
hugging_face_model_name_or_path= # mBART for --tgt_token_type hugging_face: hub id or folder.
trim_vocab=true         # Whether mBART keeps only the tokens that the training translations need.
                        # false: all of them, 250,054 in mBART-50.
trim_vocab_args=        # Arguments for trim_vocab, e.g., "--add_languages ca_ES=es_XX".

# Distillation related
samu_train_set=         # Transcribed speech to distil on (default: train_set).
samu_valid_set=         # Transcribed speech to validate on (default: valid_set).
teacher=sentence-transformers/LaBSE # Hub id or folder of a sentence-transformers model;
                        # several, separated by blanks, are joined as teacher_embed_args say.
                        # Empty: a small one is trained on --teacher_bitext.
teacher_bitext=         # TSV file of lang, text, english.
teacher_args=           # Arguments for teacher training, e.g., "--updates 800".
teacher_prompt=         # Put before every text for all teachers, e.g. "query: " for E5 (default:
                        # the model's own).
teacher_embed_args=     # Arguments for teacher_embed, e.g., "--batch_size 512".
samu_label=transcript   # What the teacher embeds: transcript or translation.
check_audio=false       # Whether stage 7 reads the audio, to drop what is silent or broken.
samu_tag=               # Suffix to the result dir for the distillation (default: names
                        # config, label, what follows "samu_train" in samu_train_set,
                        # samu_args).
samu_exp=               # Specify the directory path for the distillation.
                        # If this option is specified, samu_tag is ignored.
samu_stats_dir=         # Specify the directory path for distillation statistics.
samu_config=conf/train_samu.yaml # Config for the distillation.
samu_args=              # Arguments for the distillation, e.g., "--max_epoch 10".
                        # Note that it will overwrite args in the config.
samu_model=             # Use this student instead; stages 6-9 are skipped.
inference_samu_model=valid.r1.best.pth # Student that ST training starts from.
retrieval_sets=         # Sets to score retrieval on (default: test_sets).
retrieval_args=         # Arguments for score_retrieval, e.g., "--margin absolute".

# ST model related
st_tag=                 # Suffix to the result dir for ST model training (default: names
                        # config, languages, the student unless it is that of
                        # conf/train_samu.yaml, st_args, speed perturbation).
st_exp=                 # Specify the directory path for the ST experiment.
                        # If this option is specified, st_tag is ignored.
st_config=conf/train_st.yaml # Config for ST model training.
num_splits_st=1         # Number of parts that the training set is read in.
st_args=                # Arguments for ST model training, e.g., "--max_epoch 10".
                        # Note that it will overwrite args in the config.
train_args=             # Arguments for both trainings, e.g., "--seed 2". No folder is named
                        # after them: choose --expdir, too.

# Decoding and scoring related
batch_size=16           # Utterances that are decoded together.
allow_missing=false     # Utterances of test sets that have no embedding or no translation are
                        # listed in failed.scp and do not stop the others; the exit status
                        # is 1 in the end. true: it is 0.
inference_tag=          # Suffix to the result dir for decoding (default: names config,
                        # inference_args, model).
inference_config=conf/decode_st.yaml # Config for decoding.
inference_args=         # Arguments for decoding, e.g., "--beam_size 10".
inference_st_model=valid.acc.best.pth # ST model for decoding.
baseline_exp=           # ST experiment to stand beside this one in the tables, and to test
                        # it against (paired bootstrap, 95 % intervals).
baseline_config=        # Instead: the config of that experiment, all other options being
                        # the same.
score_args=             # Arguments for score_st, e.g. "--slots data/slots.txt".
report_args=            # Arguments for report, e.g. "--published conf/published.tsv".

# What --help prints is the list above: each option with its default.
help_message=$(cat << EOF
Usage: $0 --train_set <train_set> --valid_set <valid_set> --test_sets <test_sets>

Stages: 1-5 data preparation, audio format, token lists (st.sh); 6 teacher
embeddings; 7 utterances of the distillation; 8 distillation; 9 retrieval scores; 10 ST
statistics; 11 ST training; 12 decoding (st.sh); 13 scoring; 14 packing; 15 upload
(st.sh).

Options:
$(sed -n '/^# General configuration/,/^# What --help/{/^# What/d;s/^\([a-z_]*\)=/    --\1 /p;/^ \{1,\}#/s/^/      /p;/^#/s/^/    /p;}' "${BASH_SOURCE[0]}")

Every other option is st.sh's: ./st.sh --help
EOF
)

if [ ! -e scripts ] || [ ! -e st.sh ]; then
    log "Error: $(readlink scripts st.sh | paste -s -d " ") lead nowhere: ESPnet is not" \
        "there. Run: make -C ../../../tools setup"
    exit 2
fi
if [[ "${PWD}" == *[[:space:]]* ]]; then
    log "Error: ESPnet's scripts cannot run below a folder with a blank: move '${PWD}'"
    exit 2
fi
log "$0 $*"
command=$(scripts/utils/print_args.sh "$0" "$@")
# Options that are not ours are st.sh's. Which are ours: the variables above.
own=$(sed -n '/^# General configuration/,/^# What --help/s/^\([a-z_]*\)=.*/\1/p' "${BASH_SOURCE[0]}")
recipe_opts=()
while [ $# -gt 0 ]; do
    name=${1#--}
    name=${name//-/_}
    if [ "${1#--}" = "$1" ]; then
        log "Error: No positional arguments are required: '$1'"
        exit 2
    elif [ "${name}" = help ]; then
        printf '%s\n' "${help_message}"
        exit 0
    elif [[ "${name}" == *=* ]]; then
        log "Error: '$1': pass --${name%%=*} '${name#*=}'"
        exit 2
    elif [ $# -lt 2 ]; then
        log "Error: option $1 needs a value"
        exit 2
    elif grep -qxF "${name}" <<< "${own}"; then
        declare "${name}=$2"
    elif grep -q "^${name}=" st.sh; then
        recipe_opts+=("st.${name}=$2")
    else
        log "Error: invalid option $1 (see $0 --help)"
        exit 2
    fi
    shift 2
done

. ./path.sh
. ./cmd.sh

# Not -c: that is no option of "coverage run".
if ! ${python} -m espnet_samu.launch --help 2> /dev/null; then
    log "Error: ${python} ($(command -v ${python} || echo "not found")) has no espnet_samu." \
        "Install it there: pip install -e <folder of espnet_samu>"
    exit 2
fi

# Checks of the options and what follows from them, names above all.
for name in ${own} command train_cmd cuda_cmd decode_cmd; do
    recipe_opts+=("${name}=${!name}")
done
recipe() {
    ${python} -m espnet_samu.bin.recipe "$1" "${recipe_opts[@]}" "${@:2}"
}
# opts_of STAGE: set ${opts} to what its program is called with.
opts_of() {
    local text
    text=$(recipe "$@") || exit
    eval "${text}"
}
names=$(recipe names)
eval "${names}"

export SAMU_PYTHON=${python}  # for local/data.sh
# ESPnet's commands with the plug-in's classes.
launch="${python} -m espnet_samu.launch"

# failed LOG...: end with what ended the jobs.
failed() {
    log "$(${python} -m espnet_samu.bin.jobs --log "$@")"
    exit 1
}

# watch_log "LOG..." COMMAND...: run a command, and show what its jobs write to their logs,
# which may be patterns.
watch_log() {
    local parent=${BASHPID} watcher status=0
    ${python} -m espnet_samu.bin.watch --parent "${parent}" --since "$(date +%s)" "$1" &
    watcher=$!
    "${@:2}" || status=$?
    { kill "${watcher}" && wait "${watcher}"; } 2> /dev/null || true
    return "${status}"
}

# job CMD GPUS LOG PROGRAM ARGUMENT...: run a program of the plug-in as one job.
job() {
    # shellcheck disable=SC2086
    watch_log "$3" $1 --gpu "$2" "$3" ${python} -m "espnet_samu.bin.$4" "${@:5}" || failed "$3"
}

# st "LOG..." OPTION...: st.sh on the translation data, with the logs to show. Later options
# win: what a call adds replaces the others.
tgt_lang_args=
st() {
    local start logs
    start=$(date +%s)
    if [ -n "$1" ]; then
        watch_log "$1" run_st "${@:2}" && return 0
    else
        run_st "${@:2}" && return 0
    fi
    # Logs of this call's jobs; a failure before them is on the terminal.
    mapfile -t logs < <(find "${expdir}" "${dumpdir}" -name "*.log" -newermt "@${start}" 2> /dev/null)
    [ "${#logs[@]}" -eq 0 ] || failed "${logs[@]}"
    exit 1
}
run_st() {
    ./st.sh --python "${launch}" "${st_opts[@]}" \
        --st_args "${model_args} ${tgt_lang_args} ${train_args} ${st_args}" "$@" \
        | sed -u -E "/\(st\.sh:[0-9]+:main\) (Stage [0-9-]+: )?(Skip |Successfully finished)/d"
}

# Whether this call runs a stage.
runs() {
    [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]
}

# products ACTION WHAT: what was made of what; see espnet_samu.bin.check_products.
products() {
    ${python} -m espnet_samu.bin.check_products "$@" "${product_opts[@]}"
}

# is_stale WHAT: whether a product must be made again, with a line that says why.
is_stale() {
    local status=0
    products stale "$1" || status=$?
    [ "${status}" -eq 0 ] || [ "${status}" -eq 3 ] || exit "${status}"
    [ "${status}" -eq 3 ]
}

# Stage 7.
select_utterances() {
    log "Stage 7: Utterances of the distillation: ${samu_stats_dir}"
    recipe selection
    products record selection
    log "Stage 7 has made ${samu_stats_dir}"
}

# Stage 10.
collect_stats() {
    rm -rf "${st_stats_dir:?}"/splits*
    tgt_lang_args=$(recipe target_languages)
    st "${st_stats_dir}/logdir/stats.*.log" --stage 10 --stop_stage 10
    products record stats
    log "Stage 10 has made ${st_stats_dir}"
}

# ========================== Main stages start from here. ==========================

if ! "${skip_data_prep}"; then
    if runs 1; then
        st "" --stage 1 --stop_stage 1
        recipe sets
        log "Stage 1 has made ${used_sets} in data"
    fi

    if runs 2; then
        st "" --stage 2 --stop_stage 2
    fi

    if runs 3 || runs 4; then
        _start=$((stage > 3 ? stage : 3))
        _stop=$((stop_stage < 4 ? stop_stage : 4))
        recipe begin_sets
        [ "${_start}" -gt 3 ] || products begin sets
        _logs="${data_feats}/*/logs/format*.log ${data_feats}/org/*/logs/format*.log"
        _opts=()
        # The first one is what st.sh is told is the training set.
        ! "${test_only}" || _opts=(--test_sets " ${test_sets#"${train_set}"}")
        st "${_logs}" --stage "${_start}" --stop_stage "${_stop}" "${_opts[@]}"
        if [ "${samu_train_set}" != "${train_set}" ] || [ -n "${speed_perturb_factors}" ]; then
            log "Stage 3-4 for the transcribed speech of the distillation"
            # To st.sh the transcript is the one text of these sets.
            st "${_logs}" --stage "${_start}" --stop_stage "${_stop}" \
                --train_set "${samu_train_set}" --valid_set "${samu_valid_set}" \
                --test_sets "${samu_valid_set}" --speed_perturb_factors "" \
                --use_src_lang false --tgt_case "${src_case}" --tgt_lang "${src_lang}"
        fi
        if runs 4; then
            recipe carry_over
            products record sets
        fi
        log "Stage ${_stop} has made ${used_sets} in ${data_feats}"
        for dset in ${used_sets}; do
            rm -f "${data_feats}/.unfinished.${dset}"
        done
    fi

    if runs 5 && ! "${test_only}"; then
        if [ -n "${vocab_dir}" ]; then
            log "Stage 5: Trim the vocabulary of ${hugging_face_model_name_or_path}: ${vocab_dir}"
            opts_of vocabulary
            # shellcheck disable=SC2086
            ${python} -m espnet_samu.bin.trim_vocab "${opts[@]}" \
                --nj "$(env -u OMP_NUM_THREADS nproc)" ${trim_vocab_args}
            if "${use_src_lang}"; then
                # The tokens of the transcripts; those of the translations are not used.
                st "" --stage 5 --stop_stage 5 --tgt_token_type char
            fi
        else
            st "" --stage 5 --stop_stage 5
            if [ -n "${token_list}" ]; then
                opts_of vocabulary
                ${python} -m espnet_samu.bin.check_vocab "${opts[@]}"
            fi
        fi
        products record tokens
        log "Stage 5 has made ${token_list}"
    fi
fi

if "${test_only}" && [ -z "${samu_model}" ]; then
    log "Stages 5-11 are skipped: nothing is trained"
elif ! "${skip_train}" && ! "${test_only}" && [ -n "${samu_model}" ]; then
    log "Stages 6-9 are skipped: the student is ${samu_model}"
elif ! "${skip_train}"; then
    if runs 6; then
        log "Stage 6: Teacher embeddings: ${teacher_dir}"
        _ngpu=$((ngpu > 0))
        if [ -z "${teacher}" ]; then
            # shellcheck disable=SC2086
            job "${cuda_cmd}" "${_ngpu}" "${teacher_dir}/teacher_train.log" teacher_train \
                --bitext "${teacher_bitext}" --output_dir "${teacher_dir}/model" ${teacher_args}
        fi
        opts_of teacher
        # shellcheck disable=SC2086
        job "${cuda_cmd}" "${_ngpu}" "${teacher_dir}/teacher_embed.log" teacher_embed \
            "${opts[@]}" ${teacher_embed_args}
        grep -h "texts are cut off" "${teacher_dir}/teacher_embed.log" || true
        log "Stage 6 has made the embeddings in ${teacher_dir}"
    fi

    if runs 7 && ! "${test_only}"; then
        products check 7
        select_utterances
    fi

    if runs 8 && ! "${test_only}"; then
        log "Stage 8: Distillation: ${samu_exp}"
        products check 8
        if is_stale selection; then
            select_utterances
        fi
        products begin student
        mkdir -p "${samu_exp}"
        log "Distillation started... log: '${samu_exp}/train.log'"
        # shellcheck disable=SC2086
        watch_log "${samu_exp}/train.log" \
            ${python} -m espnet2.bin.launch \
                --cmd "${cuda_cmd} --name ${student_job}" \
                --log "${samu_exp}"/train.log \
                --ngpu "${ngpu}" \
                --num_nodes "${num_nodes}" \
                --init_file_prefix "${samu_exp}"/.dist_init_ \
                --multiprocessing_distributed true -- \
                ${python} -m espnet_samu.bin.samu_train "${student_opts[@]}" \
                    ${train_args} ${samu_args} || failed "${samu_exp}/train.log"
        products record student
        log "Stage 8 has made the student in ${samu_exp}"
    fi

    if runs 9; then
        log "Stage 9: Retrieval: ${retrieval_dir}"
        _opts=()
        for dset in ${retrieval_sets}; do
            _opts+=(--wav_scp "${data_feats}/${dset}/wav.scp,${audio_type}")
            _opts+=(--output_dir "${retrieval_dir}/${dset}")
        done
        products check 9
        job "${embed_cmd}" "${embed_ngpu}" "${retrieval_dir}/samu_embed.log" samu_embed \
            --samu_model_file "${student}" --ngpu "${embed_ngpu}" --allow_missing true \
            --frames_cache_dir "${dumpdir}/frames" "${_opts[@]}"
        recipe count_failed for=retrieval
        recipe retrieval
        products record retrieval
        log "Stage 9 has made the scores in ${retrieval_dir}"
    fi
fi

if ! "${skip_train}" && ! "${test_only}"; then
    if runs 10; then
        products check 10
        collect_stats
    fi

    if runs 11; then
        products check 11
        if is_stale stats; then
            collect_stats
        fi
        products begin model
        _file=${data_feats}/${model_train_set}/utt2tgt_lang
        _dir=
        if [ "${num_splits_st}" -gt 1 ] && [ -e "${_file}" ]; then
            # Split as st.sh splits its own files: the same lines in the same part.
            _dir=${st_exp}/splits${num_splits_st}
            ${python} -m espnet2.bin.split_scps --scps "${_file}" \
                --num_splits "${num_splits_st}" --output_dir "${_dir}"
        fi
        tgt_lang_args=$(recipe target_languages "for=${_dir}")
        st "${st_exp}/train.log" --stage 11 --stop_stage 11
        products record model
        log "Stage 11 has made the translation model in ${st_exp}"
    fi
fi

if ! "${skip_eval}"; then
    if runs 12; then
        products check 12
        products begin translations
        st "${st_exp}/${inference_tag}/*/logdir/st_inference.*.log" --stage 12 --stop_stage 12
        recipe collect_failed
        products record translations
        log "Stage 12 has made the translations in ${st_exp}/${inference_tag}"
    fi

    if runs 13; then
        log "Stage 13: Scoring: ${st_exp}/${inference_tag}"
        products check 13
        recipe count_failed for=translations
        # Tables and pages, what stage 14 packs, and the model card of stage 15.
        ${python} -m espnet_samu.bin.score_experiment "${score_opts[@]}"
        products record results
    fi
fi

if ! "${skip_packing}" && runs 14; then
    products check 14
    mkdir -p "${st_exp}/images"
    st "" --stage 14 --stop_stage 14 --skip_packing false
fi

if ! "${skip_upload_hf}" && runs 15; then
    products check 15
    # st.sh makes the model card of this file.
    if [ ! -e local/TEMPLATE_HF_README_st.md ]; then
        # shellcheck disable=SC2016
        echo '$(cat "${st_exp}/README.md")' > local/TEMPLATE_HF_README_st.md
    fi
    st "" --stage 15 --stop_stage 15 --skip_packing false --skip_upload_hf false
fi

if ! "${allow_missing}"; then
    recipe failures
fi
if runs 13 && ! "${skip_eval}"; then
    for dset in ${test_sets}; do
        log "Page of ${dset}: ${st_exp}/${inference_tag}/${dset}/score_st/report.html"
    done
    log "Scores: ${st_exp}/RESULTS.md. Model: ${st_exp}/${inference_st_model}; how to" \
        "translate a file with it: ${st_exp}/README.md"
fi
log "Successfully finished. [elapsed=${SECONDS}s]"
