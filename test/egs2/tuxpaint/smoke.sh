#!/usr/bin/env bash
# The recipe in a copy of its folder, on a small tree of the package's layout with small
# random models: both arms, stages 1 to 13; then a part of the study, with the arm by CTC
# and what needs no training. Scores are not checked.
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1

copy_recipe tuxpaint
ln -s "${main_root}/egs2/mini_asterisk" "${work}/egs2/mini_asterisk"
python=${main_root}/tools/venv/bin/python
"${python}" - "${work}/stamps" << 'EOF'
import sys
from pathlib import Path

import numpy as np
import soundfile

folder, rng = Path(sys.argv[1]) / "animals", np.random.default_rng(0)
folder.mkdir(parents=True)
things = [f"{size} {kind}" for size in "wet red tall".split()
          for kind in "bird cat cow dog duck fish fox goat hen horse lamb lion".split()]
for n, thing in enumerate(things):
    lines = [f"A {thing}."] + [f"{x}.utf8=({x}) {thing}." for x in "es fr be bg ca ro".split()]
    (folder / f"{n}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for end in ("", "_es", "_fr", "_be", "_bg", "_ca", "_ro"):
        sound = rng.normal(0, 0.1, 4000 + 100 * n)
        soundfile.write(folder / f"{n}_desc{end}.ogg", sound, 16000)
EOF
"${python}" "${main_root}/test/egs2/tiny_models.py" "${work}/models" \
    --encoder openai/whisper-base/resaved-4.4x --parts encoder teacher 2> "${work}/log"

# The real configurations with few updates and the small teacher's size; the folders of the
# models are where their hub ids lead to.
find conf -name "train_*.yaml" -exec sed -i \
    -e "s/^max_epoch: .*/max_epoch: 1/" \
    -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
    -e "s/first_cycle_steps: .*/first_cycle_steps: 4/" \
    -e "s/warmup_steps: .*/warmup_steps: 1/" \
    -e "s/output_size: 384.*/output_size: 768/" \
    -e "s/^num_workers: .*/num_workers: 0/" {} +
sed -i -e "s/vocabulary: .*/vocabulary: 30/" -e "s/share: .*/share: 1.0/" study/arms.yaml
sed -i 's/^nbpe=[0-9]*/nbpe=30/' local/train_ctc.sh
mkdir -p openai intfloat
ln -sfn "${work}/models/encoder" openai/whisper-base
ln -sfn "${work}/models/teacher" intfloat/multilingual-e5-small
data_opts=(--local_data_opts "--stamps ${work}/stamps")

echo "smoke: ./run.sh"
./run.sh "${data_opts[@]}" --nj 1 --tgt_nbpe 30 > "${work}/log" 2>&1 || fail "./run.sh failed"
expect data/local/dropped.tsv data/test_unheard/wav.scp exp/samu_train_samu_raw/valid.r1.best.pth \
    exp/samu_train_samu_raw/retrieval_valid.r1.best/test_{seen,held,voices}/retrieval.md
model=exp/st_train_st_raw_multi_en
same_keys "${model}"/decode_st_valid.acc.best/test_seen/text data/test_seen/wav.scp
expect_line "${model}/RESULTS.md" "| zero-shot (be bg ca ro) *|" "^- BLEU .*tok:13a" "^- chrF2"
# Whisper's frames were computed by one training, and read by all that came after it.
expect_line exp/st_train_st_whisper_raw_multi_en/train.log "Frames of 0 utterances were computed"
[ "$(find dump/frames -mindepth 1 -type d | wc -l)" = 1 ] || fail "there are frames of several encoders"

echo "smoke: ./run_study.sh"
sed -i 's/--nj 2/--nj 1/' run.sh # each job imports ESPnet
./run_study.sh --quick true --arms "b c j z_ceiling z_random" --jobs 2 "${data_opts[@]}" \
    > "${work}/log" 2>&1 || {
    tail -n 40 exp/study_quick/*/*/*.log || true
    fail "./run_study.sh failed"
}
for arm in b c j z_ceiling z_random; do
    expect_line "exp/study_quick/runs/${arm}/seed1.json" '"status": "ok"'
done
expect_line exp/study_quick/RESULTS.md "H1: distilled, frozen (c) less no distillation (b)" \
    "R@1 on test_held, speech to English" "BLEU on dev"
expect exp/study_quick/report.html
echo "smoke: passed"
