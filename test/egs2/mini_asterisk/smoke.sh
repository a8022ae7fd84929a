#!/usr/bin/env bash
# All stages of the mini recipe at reduced size, in a copy of its folder: data, teacher,
# distillation, retrieval, translation, decoding, scoring, packing, decoding from the
# pack; then s3prl's frontend, and Whisper, M2M-100, LoRA and augmentation by YAML alone.
# Says nothing of quality.
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
copy_recipe mini_asterisk
recipe=${PWD}

# The real configurations with other lengths and balanced languages: options would be
# part of the folders' names.
find conf -name "train_*.yaml" -exec sed -i \
    -e "s/^max_epoch: .*/max_epoch: 2/" \
    -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
    -e "s/^batch_bins: .*/batch_bins: 400000/" \
    -e "$ a balance_languages: true" {} +
echo "upsampling_factor: 0.05" >> conf/train_samu.yaml

run() {
    echo "smoke: ./run.sh $*"
    ./run.sh \
        --local_data_opts "--train_per_lang 40 --dev_per_lang 6 --test_per_lang 6 --bitext_contents 200" \
        --teacher_args "--updates 20" \
        --check_audio true \
        --tgt_nbpe 60 "$@" > "${work}/log" 2>&1 || fail "./run.sh failed"
}

run --stop_stage 14 --skip_packing false
st_exp=exp/st_train_st_raw_multi_en
decode_dir=decode_st_valid.acc.best
expect exp/samu_train_samu_raw/budget.json
expect exp/samu_train_samu_raw/languages.md
expect "${st_exp}/languages.md"
expect exp/samu_train_samu_raw/teacher.json
expect exp/samu_stats_raw/train/languages.tsv
expect exp/samu_train_samu_raw/retrieval_valid.cos_right.best/test/heat_map_speech-speech.png
expect exp/samu_train_samu_raw/retrieval_valid.cos_right.best/test/retrieval.json
for dset in test test_menardi; do
    expect "${st_exp}/${decode_dir}/${dset}/score_st/results.json"
    same_keys "${st_exp}/${decode_dir}/${dset}/text" "dump/raw/${dset}/wav.scp"
done
for system in train_st train_st_xlsr template_floor; do
    expect_line "${st_exp}/RESULTS.md" "^| ${system} .*zero-shot (it ru)"
done

# A finished stage can be asked for again, and does no harm.
run --baseline false --stage 6 --stop_stage 7
expect_line exp/teacher_small/teacher_embed.log "up to date"

# The pack decodes elsewhere as the experiment did here.
pack=$(readlink -f "${st_exp}"/*.zip)
keys dump/raw/test/wav.scp | head -n 3 > "${work}/keys"
awk -v root="${PWD}/" '{ print $1, root $2 }' dump/raw/test/wav.scp > "${work}/wav.scp"
(. ./path.sh && cd "${work}" && mv "${recipe}/exp" "${recipe}/exp.away" \
    && cp "${recipe}/exp.away/${pack#"${recipe}"/exp/}" pack.zip \
    && python3 - "${recipe}/exp.away/${st_exp#exp/}/${decode_dir}/test/text" << 'EOF'
import sys

import soundfile

from espnet_samu.bin.st_inference import Speech2Text

decoded = dict(line.rstrip("\n").partition(" ")[::2] for line in open(sys.argv[1]))
wavs = dict(line.split() for line in open("wav.scp"))
speech2text = Speech2Text.from_pretrained("pack.zip", maxlenratio=-30.0)
for key in open("keys").read().split():
    text = speech2text(soundfile.read(wavs[key], dtype="float32")[0])[0].text
    assert text == decoded[key], (key, text, decoded[key])
print(f"smoke: the pack decodes as the experiment, e.g. {key}: '{text}'")
EOF
)
mv exp.away exp

# Another frontend is another YAML file.
run --stage 11 --stop_stage 12 --st_config conf/tuning/train_st_s3prl.yaml --test_sets test
expect "exp/st_train_st_s3prl_raw_multi_en/${decode_dir}/test/text"

# The template's configurations take another family by its model alone: published files,
# small sizes (covost2's smoke test has XLS-R and mBART-50, europarl's w2v-BERT and NLLB,
# the study's WavLM). With it go augmented speech and LoRA (europarl: adapters).
models=${work}/models
(. ./path.sh && python3 "${main_root}/test/egs2/tiny_models.py" "${models}" --parts encoder decoder \
    --encoder openai/whisper-base/resaved-4.31.0 \
    --decoder facebook/m2m100_418M/resaved-4.46.0) > "${work}/log" 2>&1 \
    || fail "tiny_models.py failed"
for file in train_samu tuning/train_st_lora; do
    sed -e "s|model: facebook/wav2vec2.*|model: ${models}/encoder|" \
        -e "s|model: facebook/mbart.*|model: ${models}/decoder|" \
        -e "s/output_size: 768/output_size: 128/" \
        -e "s/dtype: bfloat16/dtype: float32/" \
        -e "s/^max_epoch: .*/max_epoch: 1/" \
        -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
        -e "s/^batch_bins: .*/batch_bins: 400000/" \
        -e "s/^num_workers: .*/num_workers: 1/" \
        "../../TEMPLATE/samu_st1/conf/${file}.yaml" > "conf/${file}_whisper.yaml"
    sed -n "/^preprocessor_conf:/,/^$/p" conf/tuning/train_samu_augment.yaml \
        >> "conf/${file}_whisper.yaml"
done
run --stage 5 --stop_stage 14 --skip_packing false --test_sets test --nj 1 \
    --samu_config conf/train_samu_whisper.yaml \
    --st_config conf/tuning/train_st_lora_whisper.yaml \
    --inference_samu_model valid.r1.best.pth \
    --tgt_token_type hugging_face \
    --hugging_face_model_name_or_path "${models}/decoder"
samu_exp=exp/samu_train_samu_whisper_raw
st_exp=exp/st_train_st_lora_whisper_raw_multi_en_samu_train_samu_whisper_raw
expect "${samu_exp}/retrieval_valid.r1.best/test/retrieval.json" \
    "${st_exp}/${decode_dir}/test/score_st/report.html" "${st_exp}"/*.zip
# The model's window of 8 s: the data's --max_wav_duration is longer.
expect_line "${samu_exp}/config.yaml" "data_aug_prob: 0.8" "window_seconds: 8.0"
expect_line "${st_exp}/config.yaml" "data_aug_prob: 0.8" "type: lora" "window_seconds: 8.0" \
    "${samu_exp#exp/}/valid.r1.best.pth:frontend:frontend"
echo "smoke: passed"
