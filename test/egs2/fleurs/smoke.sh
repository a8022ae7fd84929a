#!/usr/bin/env bash
# The recipe in copies of its folder, on the small corpus of fleurs_tree.py with the small
# models of tiny_models.py: one copy trains on tables and wav files, stages 1 to 13; another
# scores that student and that translation model on parquet files. Scores are not checked.
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1

copy_recipe fleurs
python=${main_root}/tools/venv/bin/python
"${python}" "${main_root}/test/espnet_samu/corpora/fleurs_tree.py" "${work}/corpus"
"${python}" "${main_root}/test/egs2/tiny_models.py" "${work}/models" 2> "${work}/log"

# The real configurations with small models and few updates.
find conf -name "train_*.yaml" -exec sed -i \
    -e "s|facebook/wav2vec2-xls-r-300m|${work}/models/encoder|" \
    -e "s|facebook/mbart-large-50-many-to-many-mmt|${work}/models/decoder|" \
    -e "s/^max_epoch: .*/max_epoch: 1/" \
    -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
    -e "s/^batch_bins: .*/batch_bins: 60000/" \
    -e "s/^num_workers: .*/num_workers: 0/" {} +
mkdir "${work}/egs2/other"
cp -a "${work}/egs2/fleurs/samu_st1" "${work}/egs2/other"

run() {
    echo "smoke: ${PWD##*/egs2/}: ./run.sh $*"
    ./run.sh --teacher "${work}/models/teacher" --ngpu 0 --gpu_inference false --nj 1 \
        --inference_args "--maxlenratio -20" "$@" > "${work}/log" 2>&1 || fail "./run.sh failed"
}

cd "${work}/egs2/other/samu_st1"
run --scenario train --fleurs "${work}/corpus/tsv" --langs fr --stop_stage 13
student=exp/samu_train_samu_raw_fr
model=exp/st_train_st_raw_multi_x2en_fr_samu_fr
decoded=decode_st_maxlenratio-20_valid.acc.best
expect data/local/x2en_fr/{counts.md,counts.json,faults.tsv,languages.tsv}
expect "${student}"/valid.r1.best.pth "${student}"/retrieval_valid.r1.best/test.x2en_fr/retrieval.md
expect_line "${model}/RESULTS.md" "| supervised (fr) *|" "| high (fr) *|" "^- chrF2"
find . -type f -printf "%p %s %T@\n" | sort > "${work}/before"

cd "${work}/egs2/fleurs/samu_st1"
other=../../other/samu_st1
options=(--fleurs "${work}/corpus/parquet" --langs "es fr")
run "${options[@]}" --stage 1 --samu_model "${other}/${student}/valid.r1.best.pth"
retrieval=${student}_other/retrieval_valid.r1.best/nway.x2en_es_fr
expect "${retrieval}"/{retrieval.json,heat_map_speech-speech.png}
# Speech finds English sentences, and speech of other languages, English among them.
expect_line "${retrieval}/retrieval.md" "| es *| speech -> text" "| fr *| text -> speech" \
    "| fr -> es *| speech -> speech" "| es -> en *| speech -> speech" "same_text:right"
run "${options[@]}" --stage 1 --st_exp "${other}/${model}"
results=exp/$(basename "${model}")_other/RESULTS.md
same_keys "$(dirname "${results}")/${decoded}/test.x2en_es_fr/text" data/test.x2en_es_fr/wav.scp
expect_line "${results}" "| zero-shot (es) *|" "| supervised (fr) *|" "| high (es fr) *|" \
    "^- BLEU .*tok:13a" "^- chrF2"
! grep -q "has no made_from.json" "${work}/log" \
    || fail "a linked model is taken for one of an earlier version"
# Both at once: the student's retrieval stands in the table of the translations.
run "${options[@]}" --stage 6 --st_exp "${other}/${model}" \
    --samu_model "${other}/${student}/valid.r1.best.pth"
expect "${student}_other/retrieval_valid.r1.best/test.x2en_es_fr/retrieval.md"
expect_line "${results}" "R@1" "| zero-shot (es) *|"
for name in dev train samu; do
    [ ! -e "dump/raw/${name}.x2en_es_fr" ] || fail "${name}.x2en_es_fr is not needed"
done

# The other recipe is as it was.
cd "${work}/egs2/other/samu_st1"
find . -type f -printf "%p %s %T@\n" | sort | diff "${work}/before" - || fail "${PWD} has changed"
echo "smoke: passed"
