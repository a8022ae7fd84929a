#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

scenario=x2en    # x2en: all languages to English; m2m: all to all; zeroshot: tested as
                 # x2en, trained on the languages --st_src_langs only.
europarl_st=     # The folder v1.1 of Europarl-ST, or the one that holds it. For stage 1
                 # (default: EUROPARL_ST of the environment).
src_langs=       # Languages spoken, e.g. de,fr (default: all nine).
tgt_langs=       # Languages of the translations (default: en; m2m: all nine).
st_src_langs=    # zeroshot: languages spoken in training (default: de,es,fr).
samu_langs=      # Languages of the distillation (default: all nine).
with_noisy=false # Whether train-noisy is trained on, too.
local_data_opts= # Further options of local/data.sh.
samu_model=      # Use this student instead of distilling one.
st_config=       # Config for ST model training (default: conf/train_st.yaml; m2m:
                 # conf/tuning/train_st_many.yaml). Names the decoder's model.
score_args=      # Further arguments of score_st; --metrics bleu,chrf leaves out TER.
report_args=     # Further arguments of report.

teacher=sentence-transformers/LaBSE

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
        scenario | europarl_st | src_langs | tgt_langs | st_src_langs | samu_langs | \
            with_noisy | local_data_opts | samu_model | st_config | score_args | report_args)
            declare "${name}=${2?value of $1 is missing}"
            shift 2 ;;
        *)
            opts+=("$1" "${2?value of $1 is missing}")
            shift 2 ;;
    esac
done
case "${scenario}" in
    x2en | m2m | zeroshot) ;;
    *)
        echo "Error: --scenario must be x2en, m2m or zeroshot: '${scenario}'" >&2
        exit 2 ;;
esac
case "${with_noisy}" in
    true | false) ;;
    *)
        echo "Error: --with_noisy must be true or false: '${with_noisy}'" >&2
        exit 2 ;;
esac
if [ ! -f "${st_config:-conf/train_st.yaml}" ]; then
    echo "Error: --st_config ${st_config}: no such file" >&2
    exit 2
fi
if [[ "${europarl_st}" == *[[:space:]]* ]]; then
    echo "Error: --europarl_st '${europarl_st}': st.sh cannot take a name with blanks; make a link" >&2
    exit 2
fi
if [ "${scenario}" = zeroshot ] && [ -z "${st_src_langs}" ]; then
    st_src_langs=de,es,fr
fi

# "fr de" or fr,de -> de,fr: the same languages give the same names.
normalize() {
    echo "$1" | tr -s ", " "\n" | sed '/^$/d' | LC_ALL=C sort | paste -s -d ","
}
for name in src_langs tgt_langs st_src_langs samu_langs; do
    declare "${name}=$(normalize "${!name}")"
done

# Sets, token lists and experiments are named after the choices, so that no choice uses
# the files of another. text.tc.<tag> holds the translations, utt2tgt_lang their languages.
tag=${scenario}
samu_tag=
[ -n "${st_src_langs}" ] && tag+=_${st_src_langs//,/_}
[ -n "${src_langs}" ] && tag+=_src_${src_langs//,/_}
[ -n "${tgt_langs}" ] && tag+=_tgt_${tgt_langs//,/_}
[ -n "${samu_langs}" ] && samu_tag+=_${samu_langs//,/_}
if [ "${with_noisy}" != false ]; then
    tag+=_noisy
    samu_tag+=_noisy
fi

data_opts="--scenario ${scenario} --tag ${tag} --with_noisy ${with_noisy}"
data_opts+=" --samu_train_set samu_train${samu_tag} --samu_valid_set samu_dev${samu_tag}"
for name in europarl_st src_langs tgt_langs st_src_langs samu_langs; do
    [ -n "${!name}" ] && data_opts+=" --${name} ${!name}"
done

st_opts=()
if [ -z "${st_config}" ]; then
    st_config=conf/train_st.yaml
    [ "${scenario}" = m2m ] && st_config=conf/tuning/train_st_many.yaml
fi
# Token list and decoder must be of the same model: that of decoder_conf.
decoder=$(sed -n '/^decoder_conf:/,/^[a-z]/s/^ \{1,\}model: *\([^ #]*\).*/\1/p' "${st_config}")
if [ -n "${decoder}" ]; then
    st_opts+=(--tgt_token_type hugging_face --hugging_face_model_name_or_path "${decoder}")
fi
if [ -n "${samu_model}" ]; then
    st_opts+=(--samu_model "${samu_model}")
else
    st_opts+=(--samu_train_set "samu_train${samu_tag}")
    st_opts+=(--samu_valid_set "samu_dev${samu_tag}")
    # A test set of m2m has each segment up to eight times, once for each target language:
    # its transcripts are equal, so that retrieval on it would be meaningless.
    [ "${scenario}" = m2m ] && st_opts+=(--retrieval_sets "samu_dev${samu_tag}")
fi

# The published figures are of translation into English. Where all is into one other
# language, rows are named by the source alone, and would be compared with them.
case "${tgt_langs}" in
    "" | en | *,*) report_args="--published conf/published.tsv ${report_args}" ;;
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
    --test_sets "test.${tag}" \
    --teacher "${teacher}" \
    --check_audio true \
    --samu_config conf/train_samu.yaml \
    --st_config "${st_config}" \
    --inference_config conf/decode_st.yaml \
    --score_args "--metrics bleu,chrf,ter ${score_args}" \
    --report_args "${report_args}" \
    "${st_opts[@]}" \
    "${opts[@]}"
