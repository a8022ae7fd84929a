#!/usr/bin/env bash
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

./samu_st.sh \
    --ngpu 0 \
    --nj 2 \
    --inference_nj 1 \
    --samu_train_set samu_train \
    --samu_valid_set samu_dev \
    --train_set train \
    --valid_set dev \
    --test_sets "test test_menardi" \
    --teacher "" \
    --teacher_bitext data/bitext/bitext.tsv \
    --tgt_token_type bpe \
    --tgt_nbpe 140 \
    --min_wav_duration 0.2 \
    "$@"
