#!/usr/bin/env bash
# The study's command at reduced size, in a copy of the recipe's folder, with a small
# random XLS-R in the place of its encoder: data, student, two arms, report; and a second
# call, which leaves all alone. Says nothing of quality.
set -e
set -u
set -o pipefail

main_root=$(cd "$(dirname "$0")"/../../.. && pwd)
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT
mkdir -p "${work}/egs2/mini_asterisk"
ln -s "${main_root}/tools" "${work}/tools"
ln -s "${main_root}/egs2/TEMPLATE" "${work}/egs2/TEMPLATE"
# Without what a full run has left there.
(cd "${main_root}/egs2/mini_asterisk" && tar -cf - --exclude ./samu_st1/data \
    --exclude ./samu_st1/dump --exclude ./samu_st1/exp --exclude ./samu_st1/downloads \
    ./samu_st1) | tar -xf - -C "${work}/egs2/mini_asterisk"
cd "${work}/egs2/mini_asterisk/samu_st1"

(. ./path.sh && python3 "${main_root}/test/egs2/tiny_models.py" "${work}/models") \
    > "${work}/log" 2>&1
sed "s|model: facebook/.*|model: ${work}/models/encoder|" conf/tuning/train_samu_xlsr.yaml \
    > conf/tuning/train_samu_tiny.yaml
sed -i -e 's/teacher_updates: .*/teacher_updates: 20/' \
    -e 's/share: .*/share: 0.005/' study/arms.yaml

study() {
    echo "smoke: ./run_study.sh"
    if ! ./run_study.sh --quick true --encoder tiny --arms "c_frozen k" \
        --local_data_opts "--train_per_lang 200 --dev_per_lang 6 --test_per_lang 6 --bitext_contents 400" \
        > "${work}/log" 2>&1; then
        tail -n 40 "${work}/log" exp/study_quick_tiny/*/*/*.log
        exit 1
    fi
}
expect() {
    if [ ! -s "$1" ]; then
        echo "smoke: $1 is missing or empty"
        tail -n 40 "${work}/log"
        exit 1
    fi
}
has() {
    if ! grep -q "$1" "$2"; then
        echo "smoke: $2 lacks '$1'"
        tail -n 40 "${work}/log"
        exit 1
    fi
}

root=exp/study_quick_tiny
study
for file in runs/c_frozen/seed1.json runs/k/seed1.json RESULTS.md report.html \
    embeddings/before/embed.scp embeddings/after/embed.scp; do
    expect "${root}/${file}"
done
has '"status": "ok"' "${root}/runs/k/seed1.json"
has "after distillation" "${root}/report.html"
has "H3: k - c_frozen" "${root}/RESULTS.md"

# What is there is not made again.
before=$(cksum "${root}"/runs/*/*.json)
study
[ "${before}" = "$(cksum "${root}"/runs/*/*.json)" ]
has "2 runs, 2 are there" "${work}/log"
echo "smoke: passed"
