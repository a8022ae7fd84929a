#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

scenario=        # retrieval: score a student, --samu_model; zeroshot: score a translation
                 # model, --st_exp; both may be of another recipe. train: train here.
                 # Default: zeroshot with --st_exp, else retrieval with --samu_model.
fleurs=          # Folder of FLEURS, or its hub id, google/fleurs. For stage 1 (default:
                 # FLEURS of the environment or of db.sh).
langs=           # Only these languages beside English, e.g. fr,zh-CN (default: all).
samu_model=      # A student: .pth file with config.yaml beside it.
st_exp=          # Folder of a translation model.
train_langs=     # zeroshot: what it was trained on, "fr de" (default: what the training
                 # set says in its recipe).
local_data_opts= # Further options of local/data.sh.
st_config=       # Config for ST model training (default: conf/train_st.yaml). Names the
                 # decoder's model.
score_args=      # Further options of score_st.

teacher=sentence-transformers/LaBSE
expdir=exp

# All other options are samu_st.sh's: ./samu_st.sh --help
opts=()
while [ $# -gt 0 ]; do
    name=${1#--}
    name=${name//-/_}
    case "${name}" in
        help)
            echo "Options of $0:"
            sed -n '/^scenario=/,/^$/{/^$/d;s/^\([a-z_]*\)=/    --\1 /;s/^ *#/      &/;p;}' "$0"
            printf '\nAll other options are those of ./samu_st.sh --help\n'
            exit 0 ;;
        scenario | fleurs | langs | samu_model | st_exp | train_langs | local_data_opts | \
            st_config | score_args)
            declare "${name}=${2?value of $1 is missing}"
            shift 2 ;;
        *)
            opts+=("$1" "${2?value of $1 is missing}")
            [ "${name}" = expdir ] && expdir=$2
            shift 2 ;;
    esac
done

error() {
    echo "Error: $*" >&2
    exit 2
}
if [ -z "${scenario}" ]; then
    [ -n "${samu_model}" ] && scenario=retrieval
    [ -n "${st_exp}" ] && scenario=zeroshot
    [ -n "${scenario}" ] || error "name a student by --samu_model, a translation model by" \
        "--st_exp, or pass --scenario train"
fi
case "${scenario}" in
    retrieval) [ -n "${samu_model}" ] || error "--scenario retrieval needs --samu_model" ;;
    zeroshot) [ -n "${st_exp}" ] || error "--scenario zeroshot needs --st_exp" ;;
    train) ;;
    *) error "--scenario must be retrieval, zeroshot or train: '${scenario}'" ;;
esac
[[ "${fleurs}" != *[[:space:]]* ]] \
    || error "--fleurs '${fleurs}': st.sh cannot take a name with blanks; make a link"
for file in "${samu_model}" "${st_exp:+${st_exp}/config.yaml}" "${st_config:-conf/train_st.yaml}"; do
    [ -z "${file}" ] || [ -f "${file}" ] || error "${file}: no such file"
done

# fr,de or "de fr" -> de_fr: sets, token lists and experiments are named after them.
langs=$(echo "${langs}" | tr -s ", " "\n" | sed '/^$/d' | LC_ALL=C sort -u | paste -s -d ",")
langs_tag=${langs:+_${langs//,/_}}
if [ "${#langs_tag}" -gt 40 ]; then
    langs_tag=_$(echo "${langs}" | cksum | cut -d " " -f 1)
fi
tag=x2en${langs_tag}

# adopt FOLDER: print the folder in ${expdir} that links to a model of elsewhere; what is
# made with the model goes there.
adopt() {
    local source target file
    source=$(realpath "$1")
    mkdir -p "${expdir}"
    if [ "$(dirname "${source}")" = "$(realpath "${expdir}")" ]; then
        echo "${expdir}/$(basename "${source}")"
        return 0
    fi
    target=$(echo "${source}" | cksum | cut -d " " -f 1)
    if [[ "${source}" =~ /([^/]+)/samu_st1/exp/[^/]+$ ]]; then
        target=${BASH_REMATCH[1]}
    fi
    target=${expdir}/$(basename "${source}")_${target}
    mkdir -p "${target}"
    for file in "${source}"/{config.yaml,tokenizer,*.pth}; do
        [ ! -e "${file}" ] || ln -sfn "${file}" "${target}/$(basename "${file}")"
    done
    echo "${target}"
}

# trained_on FOLDER: print the directions of a model's training set, as its recipe has them.
trained_on() {
    local data
    data=$(sed -n '/^train_data_path_and_name_and_type:/{n;s/^- *- *//p;q;}' "$1/config.yaml")
    data=$(realpath "$1")/../../$(dirname "${data}")
    [ -s "${data}/utt2lang" ] && [ -s "${data}/utt2tgt_lang" ] || return 0
    LC_ALL=C join "${data}/utt2lang" "${data}/utt2tgt_lang" | cut -d " " -f 2,3 \
        | LC_ALL=C sort -u | tr " " ":" | paste -s -d " "
}

data_opts="--tag ${tag}"
[ -n "${fleurs}" ] && data_opts+=" --fleurs ${fleurs}"
[ -n "${langs}" ] && data_opts+=" --langs ${langs}"
st_opts=()
if [ "${scenario}" = train ]; then
    st_config=${st_config:-conf/train_st.yaml}
    data_opts+=" --samu_train_set samu_train${langs_tag} --samu_valid_set samu_dev${langs_tag}"
    st_opts+=(--st_config "${st_config}" --test_sets "test.${tag}")
    # Token list and decoder must be of the same model: that of decoder_conf.
    decoder=$(sed -n '/^decoder_conf:/,/^[a-z]/s/^ \{1,\}model: *\([^ #]*\).*/\1/p' "${st_config}")
    if [ -n "${decoder}" ]; then
        st_opts+=(--tgt_token_type hugging_face --hugging_face_model_name_or_path "${decoder}")
    fi
    if [ -n "${samu_model}" ]; then
        st_opts+=(--samu_model "${samu_model}")
    else
        st_opts+=(--samu_train_set "samu_train${langs_tag}")
        st_opts+=(--samu_valid_set "samu_dev${langs_tag}")
    fi
    [ -z "${st_exp}" ] || st_opts+=(--st_exp "${st_exp}")
    [ -z "${train_langs}" ] || st_opts+=(--train_langs "${train_langs}")
else
    # English sentences are what speech is to find.
    st_opts+=(--test_only true --samu_label translation)
    data_opts+=" --test_only true"
    if [ -n "${samu_model}" ]; then
        samu_model=$(adopt "$(dirname "${samu_model}")")/$(basename "${samu_model}")
        st_opts+=(--samu_model "${samu_model}")
    fi
fi
case "${scenario}" in
    retrieval)
        st_opts+=(--test_sets "nway.${tag}" --skip_eval true) ;;
    zeroshot)
        train_langs=${train_langs:-$(trained_on "${st_exp}")}
        [ -n "${train_langs}" ] || error "what ${st_exp} was trained on is not known: its" \
            "training set is not there; name the languages by --train_langs"
        st_exp=$(adopt "${st_exp}")
        st_opts+=(--test_sets "test.${tag}" --st_exp "${st_exp}" --train_langs "${train_langs}") ;;
esac

# --nj: jobs of stages 3 and 10; raise it where there are more cores.
./samu_st.sh \
    --ngpu 1 \
    --nj 4 \
    --gpu_inference true \
    --inference_nj 1 \
    --audio_format flac \
    --max_wav_duration 30 \
    --local_data_opts "${data_opts} ${local_data_opts}" \
    --tgt_lang "${tag}" \
    --train_set "train.${tag}" \
    --valid_set "dev.${tag}" \
    --teacher "${teacher}" \
    --check_audio true \
    --samu_config conf/train_samu.yaml \
    --inference_config conf/decode_st.yaml \
    --score_args "--metrics bleu,chrf --groups conf/language_groups.tsv ${score_args}" \
    "${st_opts[@]}" \
    "${opts[@]}"
