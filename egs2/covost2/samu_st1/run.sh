#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

# shellcheck disable=SC2034  # read as ${!name}
{
scenario=x2en       # x2en: 21 languages to English; high2en: trained on fr de es ca,
                    # tested on the 21; en2x: English to 15; multi: all 36 directions.
langs=              # Only these languages beside English, e.g. fr,de (default: all).
commonvoice=        # Folder of Common Voice release 4. For stage 1.
covost2=            # Folder of CoVoST-2's translations. For stage 1.
covost2_parquet=    # Instead of both: folder of the corpus in parquet files, or its hub id,
                    # fixie-ai/covost2. For stage 1.
samu_langs=         # Languages of the distillation, e.g. fr,de,cs (default: those of
                    # conf/samu_langs.tsv that are there).
samu_commonvoice=   # Another Common Voice release for them. For stage 1.
by_direction=false  # Whether each direction is tested as a set of its own.
local_data_opts=    # Further options of local/data.sh.
samu_model=         # Use this student instead of distilling one.
st_config=          # Config for ST model training (default: conf/train_st.yaml; en2x,
                    # multi: conf/tuning/train_st_many.yaml). Names the decoder's model.
ja_tokenizer=char   # For BLEU into Japanese: char, or ja-mecab (pip install
                    # "sacrebleu[ja]"). The table's signatures name it.
score_args=         # Further options of score_st, e.g. "--comet Unbabel/wmt22-comet-da".
report_args=        # Further options of report, e.g. "--examples 10".
}

teacher=sentence-transformers/LaBSE
python=${SAMU_PYTHON:-python3}

# All other options are samu_st.sh's: ./samu_st.sh --help
opts=()
while [ $# -gt 0 ]; do
    name=${1#--}
    name=${name//-/_}
    case "${name}" in
        help)
            echo "Options of $0:"
            sed -n '/^scenario=/,/^}/{/^}/d;s/^\([a-z_0-9]*\)=/    --\1 /;s/^ *#/      &/;p;}' "$0"
            printf '\nAll other options are those of ./samu_st.sh --help\n'
            exit 0 ;;
        scenario | langs | commonvoice | covost2 | covost2_parquet | samu_langs | \
            samu_commonvoice | by_direction | local_data_opts | samu_model | st_config | \
            ja_tokenizer | score_args | report_args)
            declare "${name}=${2?value of $1 is missing}"
            shift 2 ;;
        *)
            opts+=("$1" "${2?value of $1 is missing}")
            [ "${name}" = python ] && python=$2
            shift 2 ;;
    esac
done
for name in commonvoice covost2 covost2_parquet samu_commonvoice; do
    if [[ "${!name}" == *[[:space:]]* ]]; then
        echo "Error: --${name} '${!name}': st.sh cannot take a name with blanks; make a link" >&2
        exit 2
    fi
done
if [ -n "${covost2_parquet}" ] && [ -n "${commonvoice}${covost2}" ]; then
    echo "Error: --covost2_parquet takes the place of --commonvoice and --covost2" >&2
    exit 2
fi
case "${by_direction}" in
    true | false) ;;
    *)
        echo "Error: --by_direction must be true or false: '${by_direction}'" >&2
        exit 2 ;;
esac

# "fr de" or fr,de -> de,fr: one name for one choice.
normalize() {
    echo "$1" | tr -s ", " "\n" | sed '/^$/d' | LC_ALL=C sort -u | paste -s -d ","
}
langs=$(normalize "${langs}")
samu_langs=$(normalize "${samu_langs}")

# What is chosen names sets, token lists and experiments, so that none takes another's.
case "${scenario}" in
    x2en | high2en | en2x) tag=${scenario} ;;
    multi) tag=x2x ;;
    *)
        echo "Error: --scenario must be x2en, high2en, en2x or multi: '${scenario}'" >&2
        exit 2 ;;
esac
[ -n "${langs}" ] && tag+=_${langs//,/_}
samu_tag=
if [ "$(echo "${samu_langs}" | tr "," "\n" | wc -l)" -gt 8 ]; then
    samu_tag=_$(echo "${samu_langs}" | cksum | cut -d " " -f 1)
elif [ -n "${samu_langs}" ]; then
    samu_tag=_${samu_langs//,/_}
fi
[ -n "${samu_commonvoice}" ] && samu_tag+=_$(basename "${samu_commonvoice}")

data_opts="--scenario ${scenario}"
for name in langs commonvoice covost2 covost2_parquet samu_commonvoice; do
    [ -n "${!name}" ] && data_opts+=" --${name} ${!name}"
done

st_opts=()
trim_vocab_args=
many_targets=false
case "${scenario}" in en2x | multi) many_targets=true ;; esac
if [ -z "${st_config}" ]; then
    st_config=conf/train_st.yaml
    "${many_targets}" && st_config=conf/tuning/train_st_many.yaml
fi
# Token list and decoder must be of the same model: that of decoder_conf.
decoder=$(sed -n '/^decoder_conf:/,/^[a-z]/s/^ \{1,\}model: *\([^ #]*\).*/\1/p' "${st_config}")
if [ -n "${decoder}" ]; then
    st_opts+=(--tgt_token_type hugging_face --hugging_face_model_name_or_path "${decoder}")
    # mBART-50 has no Catalan and no Welsh: their tokens start as copies of neighbours'.
    if "${many_targets}" && { [[ "${decoder}" == *mbart-large-50* ]] \
        || grep -qs '"model_type": "mbart"' "${decoder}/config.json"; }; then
        trim_vocab_args="--add_languages ca_ES=es_XX,cy_GB=en_XX"
    fi
fi

if [ -n "${samu_model}" ]; then
    data_opts+=" --samu_langs none"
    st_opts+=(--samu_model "${samu_model}")
else
    data_opts+=" --samu_train_set samu_train${samu_tag}"
    data_opts+=" --samu_valid_set samu_dev${samu_tag}"
    [ -n "${samu_langs}" ] && data_opts+=" --samu_langs ${samu_langs}"
    st_opts+=(--samu_train_set "samu_train${samu_tag}")
    st_opts+=(--samu_valid_set "samu_dev${samu_tag}")
    # English clips have up to 15 translations: there is nothing to find among them.
    "${many_targets}" && st_opts+=(--retrieval_sets "samu_dev${samu_tag}")
fi

test_sets=test.${tag}
if "${by_direction}"; then
    test_sets=$(
        . ./path.sh > /dev/null
        ${python} -m espnet_samu.bin.prepare covost2 --list_directions \
            --scenario "${scenario}" --langs "${langs}" | sed 's/^/test./' \
            | paste -s -d " "
    )
fi

scores="--metrics bleu,chrf,ter"
"${many_targets}" && scores+=" --ja_tokenizer ${ja_tokenizer}"
report=
# Groups of source languages, and published figures into English.
if [ "${scenario}" != en2x ]; then
    scores+=" --groups conf/language_groups.tsv"
    report="--published conf/published.tsv"
fi

# nj: of stages 3 and 10; more where there are more cores.
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
    --test_sets "${test_sets}" \
    --teacher "${teacher}" \
    --check_audio true \
    --samu_config conf/train_samu.yaml \
    --st_config "${st_config}" \
    --inference_config conf/decode_st.yaml \
    --trim_vocab_args "${trim_vocab_args}" \
    --score_args "${scores} ${score_args}" \
    --report_args "${report} ${report_args}" \
    "${st_opts[@]}" \
    "${opts[@]}"
