#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

./samu_st.sh \
    --ngpu 0 \
    --nj 2 \
    --inference_nj 2 \
    --train_set train_nodev \
    --valid_set train_dev \
    --test_sets test \
    --teacher "" \
    --teacher_bitext data/bitext.tsv \
    --teacher_args "--updates 2" \
    --inference_samu_model valid.cos_right.best.pth \
    --tgt_token_type bpe \
    --tgt_nbpe 30 \
    --st_config conf/train_st.yaml \
    --inference_config conf/decode_st.yaml \
    "$@"
