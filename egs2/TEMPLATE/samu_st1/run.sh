#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

# Names of the sets: those of the manifests without .tsv. They can be passed as options:
#   --train_set my_train --valid_set my_dev --test_sets my_test
train_set="train"
valid_set="dev"
test_sets="test"
# More transcribed speech for the distillation, in all languages, is worth having:
#   --samu_train_set samu_train --samu_valid_set samu_dev

teacher=sentence-transformers/LaBSE
# Token list and decoder (decoder_conf of conf/train_st.yaml) must name the same model.
mbart=facebook/mbart-large-50-many-to-many-mmt

# --nj: jobs of stages 3 and 10; raise it where there are more cores.
./samu_st.sh \
    --ngpu 1 \
    --nj 4 \
    --gpu_inference true \
    --inference_nj 1 \
    --audio_format flac \
    --max_wav_duration 30 \
    --tgt_lang en \
    --train_set "${train_set}" \
    --valid_set "${valid_set}" \
    --test_sets "${test_sets}" \
    --teacher "${teacher}" \
    --samu_config conf/train_samu.yaml \
    --st_config conf/train_st.yaml \
    --inference_config conf/decode_st.yaml \
    --tgt_token_type hugging_face \
    --hugging_face_model_name_or_path "${mbart}" \
    "$@"
