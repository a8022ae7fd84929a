#!/usr/bin/env bash
# The study's command at reduced size, in a copy of the recipe's folder, with a small
# random WavLM as the encoder: data, student, two arms, report; and a second call, which
# makes nothing again. Scores are not checked.
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
copy_recipe mini_asterisk

(. ./path.sh && python3 "${main_root}/test/egs2/tiny_models.py" "${work}/models" --parts encoder \
    --encoder microsoft/wavlm-base-plus/resaved-5.5.4) > "${work}/log" 2>&1
sed "s|model: facebook/.*|model: ${work}/models/encoder|" conf/tuning/train_samu_xlsr.yaml \
    > conf/tuning/train_samu_tiny.yaml
sed -i 's/--nj 2/--nj 1/' run.sh # each job imports ESPnet
sed -i -e 's/teacher_updates: .*/teacher_updates: 20/' \
    -e 's/share: .*/share: 0.005/' study/arms.yaml

study() {
    echo "smoke: ./run_study.sh"
    ./run_study.sh --quick true --encoder tiny --arms "c_frozen k" \
        --local_data_opts "--train_per_lang 200 --dev_per_lang 6 --test_per_lang 6 --bitext_contents 400" \
        > "${work}/log" 2>&1 || {
        tail -n 40 exp/study_quick_tiny/*/*/*.log || true
        fail "./run_study.sh failed"
    }
}

root=exp/study_quick_tiny
study
for file in runs/c_frozen/seed1.json runs/k/seed1.json RESULTS.md report.html \
    embeddings/before/embed.scp embeddings/after/embed.scp; do
    expect "${root}/${file}"
done
expect_line "${root}/runs/k/seed1.json" '"status": "ok"'
expect_line "${root}/report.html" "after distillation"
expect_line "${root}/RESULTS.md" "H3: distilled, loss kept on (k) less distilled, frozen (c)"
expect_line "${root}/report.html" "run_study.sh.*--local_data_opts"
if grep -q "command was not given" "${root}/report.html"; then
    fail "a figure of ${root}/report.html has no command"
fi

# Finished runs are not made again.
before=$(cksum "${root}"/runs/*/*.json)
study
[ "${before}" = "$(cksum "${root}"/runs/*/*.json)" ] || fail "runs were made again"
expect_line "${work}/log" "2 runs, 2 are there"
echo "smoke: passed"
