#!/usr/bin/env bash

# Speech translation with a semantically distilled speech encoder: SAMU-XLS-R.
# Stages 6-9 and 13 are done here, all others by ESPnet's own ./st.sh.

# shellcheck disable=SC2154  # train_cmd, cuda_cmd, decode_cmd: cmd.sh
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
run_args=$(scripts/utils/print_args.sh "$0" "$@")
# Options that are not ours are st.sh's. Which are ours: the variables above.
st_opts=()
own_opts=()
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
    elif [ -n "${!name+set}" ] && grep -q "^${name}=" "${BASH_SOURCE[0]}"; then
        own_opts+=("--${name}" "$2")
    elif grep -q "^${name}=" st.sh; then
        st_opts+=("--${name}" "$2")
    else
        log "Error: invalid option $1 (see $0 --help)"
        exit 2
    fi
    shift 2
done
set -- "${own_opts[@]}"
. utils/parse_options.sh

. ./path.sh
. ./cmd.sh

# Not -c: that is no option of "coverage run".
if ! ${python} -m espnet_samu.launch --help 2> /dev/null; then
    log "Error: ${python} ($(command -v ${python} || echo "not found")) has no espnet_samu." \
        "Install it there: pip install -e <folder of espnet_samu>"
    exit 2
fi
# To st.sh, which asks for a training set, one of the test sets is that, of which no
# utterance is too long.
if "${test_only}"; then
    for name in train_set valid_set samu_train_set samu_valid_set; do
        declare "${name}=${test_sets%% *}"
    done
    st_opts+=(--min_wav_duration 0 --max_wav_duration 1000000)
    speed_perturb_factors=
fi
# Check required arguments
for required in train_set valid_set test_sets; do
    if [ -z "${!required}" ]; then
        log "Error: --${required} is required (see $0 --help)"
        exit 2
    fi
done
if [ "${feats_type}" != raw ]; then
    log "Error: --feats_type ${feats_type}: speech encoders read waveforms, use raw"
    exit 2
fi

export SAMU_PYTHON=${python}  # for local/data.sh
# ESPnet's commands with the plug-in's classes.
launch="${python} -m espnet_samu.launch"
data_feats=${dumpdir}/raw
[ -z "${samu_train_set}" ] && samu_train_set=${train_set}
[ -z "${samu_valid_set}" ] && samu_valid_set=${valid_set}
[ -z "${retrieval_sets}" ] && retrieval_sets=${test_sets}
transcripts=text.${src_case}.${src_lang}
translations=text.${tgt_case}.${tgt_lang}
case "${samu_label}" in
    transcript)
        label_text=${transcripts}
        label_tag= ;;
    translation)
        label_text=${translations}
        label_tag=_translation
        [ "${tgt_lang}" = en ] || label_tag+=_${tgt_lang} ;;
    *)
        log "Error: --samu_label must be transcript or translation: '${samu_label}'"
        exit 2 ;;
esac
if [ -n "${teacher}" ]; then
    teacher_dir=${expdir}/teacher_$(echo "${teacher}" | tr "/ " "-_")${label_tag}
else
    teacher_dir=${expdir}/teacher_small${label_tag}
fi

# Arguments as part of a folder's name, as in st.sh.
tag_of() {
    echo "$*" | sed -e "s/--/\_/g" -e "s/[ |=]//g" -e "s|/|-|g"
}
# What is not the default is part of a name.
# samu_train_cs_fr -> _cs_fr: speech of one's own for the distillation.
data_tag=
case "${samu_train_set}" in
    samu_train*) data_tag=${samu_train_set#samu_train} ;;
    train | "train.${tgt_lang}") ;;
    *) data_tag=_${samu_train_set//\//-} ;;
esac
[ "${src_case}" = tc ] || data_tag+=_${src_case}
if [ -z "${samu_tag}" ]; then
    samu_tag=$(basename "${samu_config}" .yaml)_raw${label_tag}${data_tag}$(tag_of "${samu_args}")
fi
named= # folders that the user names, whatever made what is in them
[ -z "${samu_exp}" ] || named+=" student"
[ -z "${st_exp}" ] || named+=" model"
# The student as part of the names of translation models that start from it.
student_tag=
if [ -n "${samu_model}${samu_exp}" ]; then
    _samu_model=${samu_model:-${samu_exp}/${inference_samu_model}}
    if [ "${_samu_model}" != "${expdir}/samu_train_samu_raw/${inference_samu_model}" ]; then
        student_tag=$(tag_of "--samu_model ${_samu_model}")
    fi
elif [ "${samu_tag}" != train_samu_raw ]; then
    student_tag=_samu_${samu_tag#train_samu_raw_}
fi
[ -z "${samu_exp}" ] && samu_exp=${expdir}/samu_${samu_tag}
[ -z "${samu_stats_dir}" ] && samu_stats_dir=${expdir}/samu_stats_raw${label_tag}${data_tag}
st_tag_of() {
    local config=$1 tag model
    tag=$(basename "${config}" .yaml)_raw_${src_lang}_${tgt_lang}
    if grep -qsE "^(init_from_samu: true|samu_weight:)" "${config}"; then
        tag+=${student_tag}
    fi
    case "${train_set}" in
        train | "train.${tgt_lang}") ;;
        *) tag+=_${train_set//\//-} ;;
    esac
    [ "${tgt_case}" = tc ] || tag+=_${tgt_case}
    case "${tgt_token_type}" in
        bpe) ;;
        hugging_face)
            # The configuration names the decoder's model, as a rule.
            model=${hugging_face_model_name_or_path}
            if ! grep -qsE "^ +model: *['\"]?${model}['\"]? *(#.*)?$" "${config}"; then
                [ ! -d "${model}" ] || model=$(basename "${model}")
                tag+=_${model//\//-}
            fi ;;
        *) tag+=_${tgt_token_type} ;;
    esac
    echo "${tag}$(tag_of "${st_args}")${speed_perturb_factors:+_sp}"
}
[ -z "${st_tag}" ] && st_tag=$(st_tag_of "${st_config}")
[ -z "${st_exp}" ] && st_exp=${expdir}/st_${st_tag}
if [ -n "${baseline_config}" ]; then
    baseline_exp=${expdir}/st_$(st_tag_of "${baseline_config}")
fi
if [ -z "${inference_tag}" ]; then
    inference_tag=$(basename "${inference_config}" .yaml)$(tag_of "${inference_args}")
    inference_tag+=_${inference_st_model%.*}
fi
_samu_model=${samu_model:-${samu_exp}/${inference_samu_model}}
_name=$(basename "${_samu_model}")
retrieval_dir=$(dirname "${_samu_model}")/retrieval_${_name%.*}
if [[ "${audio_format}" == *ark* ]]; then
    _type=kaldi_ark
else
    _type=sound
fi

# st.sh looks for texts where the perturbed set has none.
perturb_opts=()
if [ -n "${speed_perturb_factors}" ]; then
    perturb_opts=(
        --lm_train_text "data/${train_set}/${translations}"
        --tgt_bpe_train_text "data/${train_set}/${translations}"
        --src_bpe_train_text "data/${train_set}/${transcripts}"
    )
fi

vocab_opts=(
    --tgt_token_type "${tgt_token_type}"
    --hugging_face_model_name_or_path "${hugging_face_model_name_or_path}"
)
vocab_args=
[ "${tgt_token_type}" = hugging_face ] || trim_vocab=false
if "${trim_vocab}"; then
    if [ -z "${hugging_face_model_name_or_path}" ]; then
        log "Error: --tgt_token_type hugging_face needs --hugging_face_model_name_or_path"
        exit 2
    fi
    if [[ " ${st_opts[*]} " == *" --token_joint true "* ]]; then
        log "Error: --token_joint true does not go with --trim_vocab true: mBART's tokens" \
            "are those of the translations only"
        exit 2
    fi
    # To st.sh it is a bpe model, whatever --tgt_nbpe says. The folder is st.sh's for this
    # mode and size.
    _nbpe=_$(echo "${hugging_face_model_name_or_path}" | tr "/ " "__")
    vocab_opts=(--tgt_token_type bpe --tgt_bpemode trimmed --tgt_nbpe "${_nbpe}")
    vocab_dir=data/${src_lang}_${tgt_lang}_token_list/tgt_bpe_trimmed${_nbpe}
    vocab_args="--decoder_conf model=${vocab_dir}"
fi

# failed LOG...: end with what ended the jobs.
failed() {
    log "$(${python} -m espnet_samu.bin.jobs --log "$@")"
    exit 1
}

# need STAGE FILE...: end where a file is missing that an earlier stage makes.
need() {
    local made_in=$1 file
    shift
    for file in "$@"; do
        if [ ! -e "${file}" ]; then
            log "Error: ${file} is missing: run stage ${made_in} first (--stage ${made_in})"
            exit 1
        fi
    done
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

# st.sh on the translation data. Later options win: what a call adds replaces these.
# ${watched}: the logs to show.
watched=
st() {
    local start logs
    start=$(date +%s)
    if [ -n "${watched}" ]; then
        watch_log "${watched}" run_st "$@" && return 0
    else
        run_st "$@" && return 0
    fi
    # Logs of this call's jobs; a failure before them is on the terminal.
    mapfile -t logs < <(find "${expdir}" "${dumpdir}" -name "*.log" -newermt "@${start}" 2> /dev/null)
    [ "${#logs[@]}" -eq 0 ] || failed "${logs[@]}"
    exit 1
}
run_st() {
    ./st.sh \
        --python "${launch}" \
        --ngpu "${ngpu}" \
        --num_nodes "${num_nodes}" \
        --gpu_inference "${gpu_inference}" \
        --dumpdir "${dumpdir}" \
        --expdir "${expdir}" \
        --feats_type raw \
        --audio_format "${audio_format}" \
        --feats_normalize none \
        --src_lang "${src_lang}" \
        --tgt_lang "${tgt_lang}" \
        --src_case "${src_case}" \
        --tgt_case "${tgt_case}" \
        --use_src_lang "${use_src_lang}" \
        --train_set "${train_set}" \
        --valid_set "${valid_set}" \
        --test_sets "${test_sets}" \
        --speed_perturb_factors "${speed_perturb_factors}" \
        --st_exp "${st_exp}" \
        --num_splits_st "${num_splits_st}" \
        --st_config "${st_config}" \
        --st_args "--samu_model ${_samu_model} --frames_cache_dir ${dumpdir}/frames \
            --max_wav_duration $(st_option max_wav_duration) ${vocab_args} $(tgt_lang_args) \
            ${train_args} ${st_args}" \
        --batch_size "${batch_size}" \
        --inference_tag "${inference_tag}" \
        --inference_config "${inference_config}" \
        --inference_args "--allow_missing true ${inference_args}" \
        --inference_st_model "${inference_st_model}" \
        "${perturb_opts[@]}" "${st_opts[@]}" "${vocab_opts[@]}" "$@" \
        | sed -u -E "/\(st\.sh:[0-9]+:main\) (Stage [0-9-]+: )?(Skip |Successfully finished)/d"
}

# Whether this call runs a stage.
runs() {
    [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]
}

# Target languages of the translations in training.
tgt_langs() {
    local file=data/${train_set}/utt2tgt_lang
    if [ -s "${file}" ]; then
        cut -d " " -f 2 "${file}" | sort -u
    else
        echo "${tgt_lang}"
    fi
}

# Options that name the translations to check a vocabulary on.
check_texts() {
    local set
    for set in $(printf '%s\n' "${valid_set}" ${test_sets} | sort -u); do
        [ ! -s "data/${set}/${translations}" ] \
            || printf -- '--check_text %s ' "data/${set}/${translations}"
    done
}

# Value of an option of st.sh: the last one that was given, or its default.
st_option() {
    local value i
    value=$(sed -n "s/^$1=\([^ ]*\).*/\1/p" st.sh)
    for ((i = 0; i < ${#st_opts[@]}; i += 2)); do
        [ "${st_opts[i]//-/_}" != "__$1" ] || value=${st_opts[i + 1]}
    done
    echo "${value}"
}

# The token list, what it is made from, and the tokenizer of st.sh's names.
token_list=
bpemodel=
token_texts=${data_feats}/${train_set}/${translations}
st_stats_dir=$(st_option st_stats_dir)
_stats_dir=${expdir}/st_stats_raw_${src_lang}_${tgt_lang}_${tgt_token_type}
_dir=data/${src_lang}_${tgt_lang}_token_list
if "${trim_vocab}"; then
    token_list=${vocab_dir}/tokens.txt
    bpemodel=${vocab_dir}/bpe.model
    token_texts=data/${train_set}/${translations}
    _stats_dir=${_stats_dir%hugging_face}bpe${_nbpe}
else
    _texts=$(st_option tgt_bpe_train_text)
    token_texts=${_texts:-${token_texts}}
    case "${tgt_token_type}" in
        bpe)
            _nbpe=$(st_option tgt_nbpe)
            _dir+=/tgt_bpe_$(st_option tgt_bpemode)${_nbpe}
            bpemodel=${_dir}/bpe.model
            token_list=${_dir}/tokens.txt
            _stats_dir+=${_nbpe} ;;
        hugging_face)
            _name=${hugging_face_model_name_or_path/\//-}
            token_list=${_dir}/hugging_face_${_name}/tokens.txt
            token_texts=
            _stats_dir+=_${_name} ;;
        char | word)
            token_list=${_dir}/${tgt_token_type}/tgt_tokens.txt ;;
    esac
fi
# A model of elsewhere has its own.
if "${test_only}"; then
    token_list=
    bpemodel=
fi
[ -n "${st_stats_dir}" ] \
    || st_stats_dir=${_stats_dir}${speed_perturb_factors:+_sp}

# products ACTION WHAT: see espnet_samu.bin.check_products, whose options are variables here.
# shellcheck disable=SC2034  # they are used by their names
products() {
    local name opts=() perturbed_set=${speed_perturb_factors:+${train_set}_sp} durations
    local own_student=true samu_args="${train_args} ${samu_args}" st_args="${train_args} ${st_args}"
    local token_model=${hugging_face_model_name_or_path} token_args=${trim_vocab_args}
    local command=${run_args}
    durations="$(st_option min_wav_duration) $(st_option max_wav_duration)"
    if "${test_only}" || [ -n "${samu_model}" ]; then
        own_student=false
    fi
    local samu_model=${_samu_model}
    for name in data_feats expdir train_set perturbed_set valid_set test_sets durations \
        transcripts translations use_src_lang samu_train_set samu_valid_set retrieval_sets \
        label_text teacher teacher_prompt teacher_dir own_student named samu_model samu_exp \
        samu_stats_dir check_audio samu_config samu_args retrieval_dir token_list bpemodel \
        token_texts token_model token_args st_exp st_stats_dir st_config st_args \
        inference_tag inference_config inference_args inference_st_model baseline_exp command; do
        opts+=("--${name}=${!name}")
    done
    ${python} -m espnet_samu.bin.check_products "$@" "${opts[@]}"
}

# Count what a vocabulary of st.sh cannot write.
check_vocab() {
    [ -n "${token_list}" ] || return 0
    local model=${bpemodel:-none}
    [ "${tgt_token_type}" != hugging_face ] || model=${hugging_face_model_name_or_path}
    # shellcheck disable=SC2046
    ${python} -m espnet_samu.bin.check_vocab \
        --token_type "${tgt_token_type}" \
        --bpemodel "${model}" \
        --token_list "${token_list}" \
        --text "data/${train_set}/${translations}" \
        $(check_texts) --tgt_lang "${tgt_lang}"
}

# Options that name the target language of each utterance: where there are several, or
# the vocabulary has a token for it, which the configuration may name wrongly or not.
split_tgt_lang=
tgt_lang_args() {
    local train_file=${data_feats}/${train_set}${speed_perturb_factors:+_sp}/utt2tgt_lang
    [ -e "${train_file}" ] || return 0
    if "${trim_vocab}" \
        || [ "$(cut -d " " -f 2 "${train_file}" | sort -u | wc -l)" -gt 1 ]; then
        printf -- "--%s_data_path_and_name_and_type %s,tgt_lang,text " \
            train "${split_tgt_lang:-${train_file}}" \
            valid "${data_feats}/${valid_set}/utt2tgt_lang"
    fi
}

# What st.sh does not carry from data/ to dump/: transcripts, what the teacher embeds and
# target languages of the utterances that are left.
carry_over() {
    local set=$1 file
    # With --speed_perturb_factors st.sh formats the perturbed training set instead.
    [ -e "${data_feats}/${set}/wav.scp" ] || return 0
    for file in "${transcripts}" "${label_text}" utt2tgt_lang; do
        if [ -e "data/${set}/${file}" ]; then
            # ESPnet reads files side by side.
            utils/filter_scp.pl "${data_feats}/${set}/wav.scp" "data/${set}/${file}" \
                | LC_ALL=C sort -k1,1 > "${data_feats}/${set}/.${file}.tmp"
            mv "${data_feats}/${set}/.${file}.tmp" "${data_feats}/${set}/${file}"
        else
            rm -f "${data_feats}/${set:?}/${file}"
        fi
    done
}

# st.sh does not map them to the perturbed utterances: sp0.9-utt has utt's.
perturb_tgt_lang() {
    local source=data/${train_set}/utt2tgt_lang dir=${data_feats}/${train_set}_sp factor
    [ -e "${source}" ] || return 0
    {
        cat "${source}"
        for factor in ${speed_perturb_factors}; do
            sed "s/^/sp${factor}-/" "${source}"
        done
    } | utils/filter_scp.pl "${dir}/wav.scp" | LC_ALL=C sort -k1,1 > "${dir}/.utt2tgt_lang.tmp"
    mv "${dir}/.utt2tgt_lang.tmp" "${dir}/utt2tgt_lang"
}

# count_failed DIR SET RESULT: utterances of a set that stages 9 and 12 have no result for.
declare -A without_result=()
count_failed() {
    local file=$1/failed.scp n
    if [ -e "$1/$3" ] && [ ! -s "$1/$3" ]; then
        log "Error: no utterance of $2 has a result in $1/$3: see ${file}"
        exit 1
    fi
    [ -s "${file}" ] || return 0
    n="$(wc -l < "${file}") of $(wc -l < "${data_feats}/$2/wav.scp") utterances of $2"
    log "Warning: ${n} failed, see ${file}"
    without_result[${file}]=${n}
}

# What st.sh's decoding jobs say of utterances that are not in the text of a set.
collect_failed() {
    local dir=$1 set=$2
    utils/filter_scp.pl --exclude "${dir}/text" "${data_feats}/${set}/wav.scp" \
        > "${dir}/.missing"
    find "${dir}/logdir" -name failed.scp -exec cat {} + \
        | utils/filter_scp.pl "${dir}/.missing" | LC_ALL=C sort -u -k1,1 > "${dir}/.failed"
    rm "${dir}/.missing"
    mv "${dir}/.failed" "${dir}/failed.scp"
    [ -s "${dir}/failed.scp" ] || rm "${dir}/failed.scp"
}

# A mark beside a set in dump/ while stages 3 and 4 write it.
mark_of() {
    echo "${data_feats}/.unfinished.$1"
}
used_sets=$(printf '%s\n' "${train_set}" "${valid_set}" ${test_sets} \
    "${samu_train_set}" "${samu_valid_set}" | sort -u)
if "${skip_data_prep}" || [ "${stage}" -gt 3 ]; then
    for dset in ${used_sets}; do
        if [ -e "$(mark_of "${dset}")" ]; then
            log "Error: stage 3 or 4 was stopped while it wrote ${data_feats}/${dset}:" \
                "run it again, from --stage 3"
            exit 1
        fi
    done
fi

_warnings=$(${python} -m espnet_samu.bin.jobs --cmd "${train_cmd}" "${cuda_cmd}" "${decode_cmd}")
[ -z "${_warnings}" ] || log "${_warnings}"

# Where jobs run on this machine, it must have the GPUs.
if [ "${ngpu}" -gt 0 ] && ! "${skip_train}" && { runs 6 || runs 8 || runs 11; } \
    && [[ "${cuda_cmd}" =~ ^(run|stdout)\.pl ]] \
    && ! ${python} -m espnet_samu.train.option_checks --ngpu "${ngpu}"; then
    exit 2
fi

if [ "${num_splits_st}" -gt 1 ] && ! "${skip_train}" && runs 11; then
    _balanced=$(sed -n 's/^balance_languages: *\([a-z]*\).*/\1/p' "${st_config}")
    # The last one counts.
    if [[ " ${train_args} ${st_args}" =~ .*\ --balance_languages[\ =]+([a-z]+) ]]; then
        _balanced=${BASH_REMATCH[1]}
    fi
    if [ "${_balanced}" = true ]; then
        log "Error: --num_splits_st ${num_splits_st} reads parts of the training set, and" \
            "languages are balanced over all of it: pass --num_splits_st 1, or" \
            "--st_args \"--balance_languages false\""
        exit 2
    fi
fi

for _lm in use_lm use_ngram; do
    # Stages 6-9 of st.sh, which train one, are not run.
    if [ "$(st_option "${_lm}")" = true ] && [ -z "$(st_option "${_lm#use_}_exp")" ]; then
        log "Error: --${_lm} true has no effect: no language model is trained here. Name one" \
            "of the same tokens: --inference_args \"--lm_file LM.pth --lm_weight 0.3\""
        exit 2
    fi
done

# Most recipes' sets for the distillation have transcripts alone.
check_labels() {
    local dset
    if [ "${samu_label}" = transcript ] || [ -n "${samu_model}" ] || "${skip_train}"; then
        return 0
    fi
    for dset in "${samu_train_set}" "${samu_valid_set}"; do
        if [ ! -s "data/${dset}/${label_text}" ] && [ ! -s "${data_feats}/${dset}/${label_text}" ]; then
            log "Error: --samu_label translation: ${dset} has no translations." \
                "Distil on speech that has them, --samu_train_set ${train_set}" \
                "--samu_valid_set ${valid_set}, or let stage 1 write data/${dset}/${label_text}"
            exit 2
        fi
    done
}
if [ "${stage}" -le 6 ] && { [ "${stage}" -gt 1 ] || "${skip_data_prep}"; }; then
    check_labels
fi

# Stage 7.
select_utterances() {
    log "Stage 7: Utterances of the distillation: ${samu_stats_dir}"
    for dset in train valid; do
        _set=samu_${dset}_set
        need 4 "${data_feats}/${!_set}/wav.scp"
        need 6 "${teacher_dir}/${!_set}/embed.scp"
        # format_wav_scp.sh has counted the samples: no pass over the audio is needed.
        ${python} -m espnet_samu.bin.samu_select \
            --data_dir "${data_feats}/${!_set}" \
            --source_dir "data/${!_set}" \
            --text "${data_feats}/${!_set}/${label_text}" \
            --embed "${teacher_dir}/${!_set}/embed.scp" \
            --check_audio "${check_audio}" \
            --nj "$(nproc)" \
            --output_dir "${samu_stats_dir}/${dset}"
    done
    products record selection
    log "Stage 7 has made ${samu_stats_dir}"
}

# Stage 10.
collect_stats() {
    need 4 "${data_feats}/${train_set}${speed_perturb_factors:+_sp}/wav.scp" \
        "${data_feats}/${valid_set}/wav.scp"
    rm -rf "${st_stats_dir:?}"/splits*
    watched="${st_stats_dir}/logdir/stats.*.log" st --stage 10 --stop_stage 10
    products record stats
    log "Stage 10 has made ${st_stats_dir}"
}

# is_stale WHAT: whether a product must be made again, with a line that says why.
is_stale() {
    local status=0
    products stale "$1" || status=$?
    [ "${status}" -eq 0 ] || [ "${status}" -eq 3 ] || exit "${status}"
    [ "${status}" -eq 3 ]
}

# ========================== Main stages start from here. ==========================

if ! "${skip_data_prep}"; then
    if runs 1; then
        st --stage 1 --stop_stage 1
        check_labels
        for dset in ${used_sets}; do
            # Where local/data.sh says what it has made, an older set is none.
            if [ ! -s "data/${dset}/wav.scp" ] \
                || { [ -e data/.sets ] && ! grep -qxF "${dset}" data/.sets; }; then
                log "Error: stage 1 has made no data/${dset}. --train_set, --valid_set," \
                    "--test_sets, --samu_train_set and --samu_valid_set must be names of" \
                    "sets that it makes (of a manifest a.tsv: a)"
                exit 1
            fi
        done
        log "Stage 1 has made ${used_sets//$'\n'/ } in data"
    fi

    if runs 2; then
        st --stage 2 --stop_stage 2
    fi

    if runs 3 || runs 4; then
        _start=$((stage > 3 ? stage : 3))
        _stop=$((stop_stage < 4 ? stop_stage : 4))
        mkdir -p "${data_feats}"
        for dset in ${used_sets}; do
            touch "$(mark_of "${dset}")"
            # Nothing that an earlier corpus had is left in them.
            [ "${_start}" -gt 3 ] || rm -rf "${data_feats:?}/${dset}" "${data_feats}/org/${dset}"
        done
        if [ "${_start}" -eq 3 ]; then
            [ -z "${speed_perturb_factors}" ] \
                || rm -rf "${data_feats:?}/${train_set}_sp" "${data_feats}/org/${train_set}_sp"
            products begin sets
        fi
        watched="${data_feats}/*/logs/format*.log ${data_feats}/org/*/logs/format*.log"
        _opts=()
        # The first one is what st.sh is told is the training set.
        ! "${test_only}" || _opts=(--test_sets " ${test_sets#"${train_set}"}")
        st --stage "${_start}" --stop_stage "${_stop}" "${_opts[@]}"
        if [ "${samu_train_set}" != "${train_set}" ] || [ -n "${speed_perturb_factors}" ]; then
            log "Stage 3-4 for the transcribed speech of the distillation"
            # To st.sh the transcript is the one text of these sets.
            st --stage "${_start}" --stop_stage "${_stop}" \
                --train_set "${samu_train_set}" \
                --valid_set "${samu_valid_set}" \
                --test_sets "${samu_valid_set}" \
                --speed_perturb_factors "" \
                --use_src_lang false \
                --tgt_case "${src_case}" \
                --tgt_lang "${src_lang}"
        fi
        if runs 4; then
            for dset in "${train_set}" "${valid_set}" ${test_sets} \
                "${samu_train_set}" "${samu_valid_set}"; do
                carry_over "${dset}"
            done
            if [ -n "${speed_perturb_factors}" ]; then
                perturb_tgt_lang
            fi
            products record sets
        fi
        watched=
        log "Stage ${_stop} has made ${used_sets//$'\n'/ } in ${data_feats}"
        for dset in ${used_sets}; do
            rm -f "$(mark_of "${dset}")"
        done
    fi

    if runs 5 && ! "${test_only}"; then
        if "${trim_vocab}"; then
            log "Stage 5: Trim the vocabulary of ${hugging_face_model_name_or_path}: ${vocab_dir}"
            _opts=()
            for _lang in $(tgt_langs); do
                _opts+=(--tgt_lang "${_lang}")
            done
            # shellcheck disable=SC2046,SC2086
            ${python} -m espnet_samu.bin.trim_vocab \
                --model "${hugging_face_model_name_or_path}" \
                --text "data/${train_set}/${translations}" \
                $(check_texts) "${_opts[@]}" \
                --nj "$(nproc)" \
                --output_dir "${vocab_dir}" ${trim_vocab_args}
            if "${use_src_lang}"; then
                # The tokens of the transcripts; those of the translations are not used.
                st --stage 5 --stop_stage 5 --tgt_token_type char
            fi
        else
            st --stage 5 --stop_stage 5
            check_vocab
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
            if [ ! -s "${teacher_bitext}" ]; then
                log "Error: --teacher is empty: --teacher_bitext must be a file"
                exit 2
            fi
            teacher=${teacher_dir}/model
            # shellcheck disable=SC2086
            watch_log "${teacher_dir}/teacher_train.log" \
                ${cuda_cmd} --gpu "${_ngpu}" "${teacher_dir}/teacher_train.log" \
                ${python} -m espnet_samu.bin.teacher_train \
                    --bitext "${teacher_bitext}" \
                    --output_dir "${teacher}" ${teacher_args} \
                || failed "${teacher_dir}/teacher_train.log"
        fi
        _opts=()
        for _teacher in ${teacher}; do
            _opts+=(--teacher "${_teacher}")
        done
        [ -z "${teacher_prompt}" ] || _opts+=(--prompt "${teacher_prompt}")
        for dset in $(printf '%s\n' "${samu_train_set}" "${samu_valid_set}" \
            ${retrieval_sets} | sort -u); do
            if [ ! -s "${data_feats}/${dset}/${label_text}" ]; then
                log "Error: ${data_feats}/${dset}/${label_text}: no ${samu_label}s." \
                    "Stage 1 must make data/${dset}/${label_text}"
                exit 1
            fi
            _opts+=(--text "${data_feats}/${dset}/${label_text}")
            _opts+=(--output_dir "${teacher_dir}/${dset}")
        done
        # shellcheck disable=SC2086
        watch_log "${teacher_dir}/teacher_embed.log" \
            ${cuda_cmd} --gpu "${_ngpu}" "${teacher_dir}/teacher_embed.log" \
            ${python} -m espnet_samu.bin.teacher_embed "${_opts[@]}" ${teacher_embed_args} \
            || failed "${teacher_dir}/teacher_embed.log"
        grep -h "texts are cut off" "${teacher_dir}/teacher_embed.log" || true
        log "Stage 6 has made the embeddings in ${teacher_dir}"
    fi

    if runs 7 && ! "${test_only}"; then
        products check 7
        select_utterances
    fi

    if runs 8 && ! "${test_only}"; then
        log "Stage 8: Distillation: ${samu_exp}"
        need 7 "${samu_stats_dir}"/{train,valid}/speech_shape
        need 6 "${teacher_dir}/${samu_train_set}/embed.scp" "${teacher_dir}/${samu_valid_set}/embed.scp"
        products check 8
        if is_stale selection; then
            select_utterances
        fi
        products begin student
        mkdir -p "${samu_exp}"
        _opts=()
        for dset in train valid; do
            _set=samu_${dset}_set
            _opts+=("--${dset}_data_path_and_name_and_type")
            _opts+=("${data_feats}/${!_set}/wav.scp,speech,${_type}")
            _opts+=("--${dset}_data_path_and_name_and_type")
            _opts+=("${teacher_dir}/${!_set}/embed.scp,embed,kaldi_ark")
            _opts+=("--${dset}_shape_file" "${samu_stats_dir}/${dset}/speech_shape")
        done
        if echo "${cuda_cmd}" | grep -e queue.pl -e queue-freegpu.pl &> /dev/null; then
            # SGE can't include "/" in a job name
            jobname="$(basename "${samu_exp}")"
        else
            jobname="${samu_exp}/train.log"
        fi
        log "Distillation started... log: '${samu_exp}/train.log'"
        # shellcheck disable=SC2086
        watch_log "${samu_exp}/train.log" \
            ${python} -m espnet2.bin.launch \
                --cmd "${cuda_cmd} --name ${jobname}" \
                --log "${samu_exp}"/train.log \
                --ngpu "${ngpu}" \
                --num_nodes "${num_nodes}" \
                --init_file_prefix "${samu_exp}"/.dist_init_ \
                --multiprocessing_distributed true -- \
                ${python} -m espnet_samu.bin.samu_train \
                    --config "${samu_config}" \
                    --resume true \
                    --output_dir "${samu_exp}" \
                    --valid_utt2lang "${data_feats}/${samu_valid_set}/utt2lang" \
                    --frames_cache_dir "${dumpdir}/frames" \
                    --max_wav_duration "$(st_option max_wav_duration)" \
                    "${_opts[@]}" ${train_args} ${samu_args} || failed "${samu_exp}/train.log"
        products record student
        log "Stage 8 has made the student in ${samu_exp}"
    fi

    if runs 9; then
        log "Stage 9: Retrieval: ${retrieval_dir}"
        need 8 "${_samu_model}"
        for dset in ${retrieval_sets}; do
            need 4 "${data_feats}/${dset}/wav.scp"
            need 6 "${teacher_dir}/${dset}/embed.scp"
        done
        products check 9
        if "${gpu_inference}"; then
            _cmd="${cuda_cmd}"
            _ngpu=1
        else
            _cmd="${decode_cmd}"
            _ngpu=0
        fi
        _opts=()
        for dset in ${retrieval_sets}; do
            _opts+=(--wav_scp "${data_feats}/${dset}/wav.scp,${_type}")
            _opts+=(--output_dir "${retrieval_dir}/${dset}")
        done
        watch_log "${retrieval_dir}/samu_embed.log" \
            ${_cmd} --gpu "${_ngpu}" "${retrieval_dir}/samu_embed.log" \
            ${python} -m espnet_samu.bin.samu_embed \
                --samu_model_file "${_samu_model}" \
                --ngpu "${_ngpu}" \
                --allow_missing true \
                "${_opts[@]}" || failed "${retrieval_dir}/samu_embed.log"
        for dset in ${retrieval_sets}; do
            count_failed "${retrieval_dir}/${dset}" "${dset}" embed.scp
            _opts=()
            # Speech finds speech of other languages with the same translation.
            if [ -s "${data_feats}/${dset}/${translations}" ]; then
                _opts+=(--content "${data_feats}/${dset}/${translations}")
            fi
            # Translations into several languages: scores of each by itself.
            _file=${data_feats}/${dset}/utt2tgt_lang
            if [ "${samu_label}" = translation ] && [ -s "${_file}" ] \
                && [ "$(cut -d " " -f 2 "${_file}" | sort -u | wc -l)" -gt 1 ]; then
                _opts+=(--target_lang "${_file}")
            fi
            # shellcheck disable=SC2086
            ${python} -m espnet_samu.bin.score_retrieval \
                --query "${retrieval_dir}/${dset}/embed.scp" \
                --target "${teacher_dir}/${dset}/embed.scp" \
                --query_lang "${data_feats}/${dset}/utt2lang" \
                --target_text "${data_feats}/${dset}/${label_text}" \
                --output_dir "${retrieval_dir}/${dset}" "${_opts[@]}" ${retrieval_args}
        done
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
        _file=${data_feats}/${train_set}${speed_perturb_factors:+_sp}/utt2tgt_lang
        if [ "${num_splits_st}" -gt 1 ] && [ -e "${_file}" ]; then
            # Split as st.sh splits its own files: the same lines in the same part.
            _dir=${st_exp}/splits${num_splits_st}
            ${python} -m espnet2.bin.split_scps --scps "${_file}" \
                --num_splits "${num_splits_st}" --output_dir "${_dir}"
            split_tgt_lang=${_dir}/utt2tgt_lang
        fi
        watched="${st_exp}/train.log" st --stage 11 --stop_stage 11
        products record model
        log "Stage 11 has made the translation model in ${st_exp}"
    fi
fi


if ! "${skip_eval}"; then
    if runs 12; then
        need 11 "${st_exp}/config.yaml" "${st_exp}/${inference_st_model}"
        for dset in ${test_sets}; do
            need 4 "${data_feats}/${dset}/wav.scp"
        done
        products check 12
        products begin translations
        watched="${st_exp}/${inference_tag}/*/logdir/st_inference.*.log" \
            st --stage 12 --stop_stage 12
        for dset in ${test_sets}; do
            collect_failed "${st_exp}/${inference_tag}/${dset}" "${dset}"
            count_failed "${st_exp}/${inference_tag}/${dset}" "${dset}" text
        done
        products record translations
        log "Stage 12 has made the translations in ${st_exp}/${inference_tag}"
    fi

    if runs 13; then
        log "Stage 13: Scoring: ${st_exp}/${inference_tag}"
        if "${test_only}" && [ -z "${train_langs}" ]; then
            log "Error: --test_only true: say by --train_langs what the model was trained on"
            exit 2
        fi
        [ -n "${train_langs}" ] || need 1 "data/${train_set}/utt2lang"
        for dset in ${test_sets}; do
            count_failed "${st_exp}/${inference_tag}/${dset}" "${dset}" text
            need 12 "${st_exp}/${inference_tag}/${dset}/text"
        done
        products check 13
        # Tables and pages, what stage 14 packs, and the model card of stage 15.
        ${python} -m espnet_samu.bin.score_experiment \
            --st_exp "${st_exp}" \
            --baseline_exp "${baseline_exp}" \
            --inference_tag "${inference_tag}" \
            --test_sets "${test_sets}" \
            --data_feats "${data_feats}" \
            --ref "${translations}" \
            --src "${transcripts}" \
            --src_lang "${src_lang}" \
            --tgt_lang "${tgt_lang}" \
            --train_langs "${train_langs}" \
            --train_utt2lang "data/${train_set}/utt2lang" \
            --retrieval_dir "${retrieval_dir}" \
            --retrieval_sets "${retrieval_sets}" \
            --samu_model "${_samu_model}" \
            --command "${run_args}" \
            --score_args "${score_args}" \
            --report_args "${report_args}"
        products record results
    fi
fi


if ! "${skip_packing}" && runs 14; then
    need 11 "${st_exp}/config.yaml" "${st_exp}/${inference_st_model}"
    need 13 "${st_exp}/RESULTS.md"
    products check 14
    mkdir -p "${st_exp}/images"
    st --stage 14 --stop_stage 14 --skip_packing false
fi

if ! "${skip_upload_hf}" && runs 15; then
    need 13 "${st_exp}/README.md"
    # st.sh makes the model card of this file.
    if [ ! -e local/TEMPLATE_HF_README_st.md ]; then
        # shellcheck disable=SC2016
        echo '$(cat "${st_exp}/README.md")' > local/TEMPLATE_HF_README_st.md
    fi
    st --stage 15 --stop_stage 15 --skip_packing false --skip_upload_hf false
fi

if [ "${#without_result[@]}" -gt 0 ] && ! "${allow_missing}"; then
    log "Finished, but utterances have no result: mend or leave out what these files name," \
        "or pass --allow_missing true. [elapsed=${SECONDS}s]"
    for file in "${!without_result[@]}"; do
        log "Error: ${without_result[${file}]} failed: ${file}"
    done
    exit 1
fi
if runs 13 && ! "${skip_eval}"; then
    for dset in ${test_sets}; do
        log "Page of ${dset}: ${st_exp}/${inference_tag}/${dset}/score_st/report.html"
    done
    log "Scores: ${st_exp}/RESULTS.md. Model: ${st_exp}/${inference_st_model}; how to" \
        "translate a file with it: ${st_exp}/README.md"
fi
log "Successfully finished. [elapsed=${SECONDS}s]"
