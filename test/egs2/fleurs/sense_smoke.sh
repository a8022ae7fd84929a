#!/usr/bin/env bash
# A student that SpeechBrain's layout of SENSE holds, imported: retrieval among languages,
# then translation from it, in a copy of the recipe on the small corpus of fleurs_tree.py
# with the small models of tiny_models.py. Scores are not checked.
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1

copy_recipe fleurs
python=${main_root}/tools/venv/bin/python
"${python}" "${main_root}/test/espnet_samu/corpora/fleurs_tree.py" "${work}/corpus"
"${python}" "${main_root}/test/egs2/tiny_models.py" "${work}/models" \
    --encoder facebook/w2v-bert-2.0/resaved-4.37.1 --parts encoder decoder teacher sense \
    2> "${work}/log"

# The real configurations with small models and few updates.
find conf -name "train_*.yaml" -exec sed -i \
    -e "s|facebook/wav2vec2-xls-r-300m|${work}/models/encoder|" \
    -e "s|facebook/mbart-large-50-many-to-many-mmt|${work}/models/decoder|" \
    -e "s/^max_epoch: .*/max_epoch: 1/" \
    -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
    -e "s/^batch_bins: .*/batch_bins: 60000/" \
    -e "s/^num_workers: .*/num_workers: 0/" {} +

run() {
    echo "smoke: ./run.sh $*"
    ./run.sh --teacher "${work}/models/teacher" --ngpu 0 --gpu_inference false --nj 1 \
        --inference_args "--maxlenratio -20" "$@" > "${work}/log" 2>&1 || fail "./run.sh failed"
}

student=exp/samu_sense
(. ./path.sh && python3 -m espnet_samu.bin.student_import --from "${work}/models/sense" \
    --encoder_config "${work}/models/encoder" --output_dir "${student}") > "${work}/log" 2>&1 \
    || fail "student_import failed"
# It is not read again.
rm -r "${work}/models/sense"
expect "${student}"/{config.yaml,imported.pth}

run --fleurs "${work}/corpus/parquet" --langs "es fr" --samu_model "${student}/imported.pth"
retrieval=${student}/retrieval_imported/nway.x2en_es_fr
expect "${retrieval}"/{retrieval.json,heat_map_speech-speech.png}
expect_line "${retrieval}/retrieval.md" "| es *| speech -> text" "| fr *| text -> speech" \
    "| fr -> es *| speech -> speech"

run --scenario train --fleurs "${work}/corpus/tsv" --langs fr \
    --samu_model "${student}/imported.pth" --stage 1 --stop_stage 13
model=$(echo exp/st_train_st_raw_multi_x2en_fr*samu_sense*)
expect "${model}"/{valid.acc.best.pth,budget.json,RESULTS.md}
same_keys "${model}"/decode_st_maxlenratio-20_valid.acc.best/test.x2en_fr/text \
    data/test.x2en_fr/wav.scp
expect_line "${model}/RESULTS.md" "| supervised (fr) *|" "^- BLEU .*tok:13a" "^- chrF2"
expect_line "${model}/config.yaml" "${student}/imported.pth:frontend:frontend"
echo "smoke: passed"
