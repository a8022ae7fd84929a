#!/usr/bin/env bash
# All stages of the recipe, in a copy of its folder, on the small corpus of covost2_tree.py with
# the small models of tiny_models.py: data, distillation, retrieval, translation,
# decoding, scoring. Says nothing of quality.
#   ./smoke.sh                             high2en with three languages, as in CI; of
#                                          parquet files, students of a tree
#   ./smoke.sh x2en high2en en2x multi     these scenarios with all languages, of a tree
#   ./smoke.sh seamless                    SeamlessM4T, distilled, fine-tuned and imported
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1
part=()
corpus=(--commonvoice "${work}/tree/cv" --covost2 "${work}/tree/covost2")
samu=cs_fr
if [ $# -eq 0 ]; then
    set -- high2en
    part=(--langs "fr,it,sv-SE")
    corpus=(--covost2_parquet "${work}/tree/parquet" --samu_commonvoice "${work}/tree/cv")
    samu=cs_fr_cv
fi

copy_recipe covost2
python=${main_root}/tools/venv/bin/python
"${python}" "${main_root}/test/espnet_samu/corpora/covost2_parquet_tree.py" "${work}/tree"
"${python}" "${main_root}/test/egs2/tiny_models.py" "${work}/models" 2> /dev/null

# The real configurations with other models, sizes and lengths, and nothing else.
find conf -name "train_*.yaml" -exec sed -i \
    -e "s|facebook/wav2vec2-xls-r-[0-9a-z]*|${work}/models/encoder|" \
    -e "s|facebook/mbart-large-50-many-to-many-mmt|${work}/models/decoder|" \
    -e "s/^max_epoch: .*/max_epoch: 1/" \
    -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
    -e "s/^batch_bins: .*/batch_bins: 60000/" \
    -e "s/^num_workers: .*/num_workers: 0/" {} +

run() {
    echo "smoke: ./run.sh $*"
    ./run.sh \
        "${corpus[@]}" \
        --samu_langs fr,cs \
        --teacher "${work}/models/teacher" \
        --ngpu 0 \
        --gpu_inference false \
        --nj 1 \
        "${part[@]}" "$@" > "${work}/log" 2>&1 || fail "./run.sh failed"
}

# Main files of every stage.
check() {
    local tag=$1 retrieval_set=$2 split file
    for split in train dev test; do
        for file in wav.scp utt2spk spk2utt utt2lang utt2tgt_lang text.tc.multi \
            "text.tc.${tag}"; do
            expect "data/${split}.${tag}/${file}"
        done
        expect "dump/raw/${split}.${tag}"/{wav.scp,utt2lang,utt2tgt_lang,"text.tc.${tag}"}
    done
    expect "data/local/${tag}"/{counts.md,counts.json,faults.tsv,speakers.tsv}
    expect "data/local/samu_train_${samu}/counts.md"
    expect "data/multi_${tag}_token_list"/*/{tokens.txt,bpe.model,trim.json}
    expect exp/teacher_*/{"samu_train_${samu}","samu_dev_${samu}","${retrieval_set}"}/embed.scp
    expect "exp/samu_stats_raw_${samu}"/{train,valid}/languages.tsv
    expect "exp/samu_train_samu_raw_${samu}"/{valid.r1.best.pth,budget.json,teacher.json}
    retrieval=exp/samu_train_samu_raw_${samu}/retrieval_valid.r1.best/${retrieval_set}
    expect "${retrieval}"/{retrieval.json,retrieval.md,projection.png}
    expect exp/st_stats_raw_multi_"${tag}"_*/{train,valid}/text_shape.bpe
    expect "${st_exp}"/{valid.acc.best.pth,budget.json,config.yaml,RESULTS.md}
    expect "${scores}"/{results.json,table.md,report.html}
    same_keys "${decoded}/text" "data/test.${tag}/wav.scp"
    expect_line "${scores}/report.html" "Length ratio" "<h2.*Examples" "data:image/png"
    if grep -E "(src|href)=.?(http|/)" "${scores}/report.html"; then
        fail "the page needs other files"
    fi
}

# Student and translation model start from SeamlessM4T, which is a baseline as it is, too.
seamless() {
    local tag=x2en_fr_it_sv-SE name
    part=(--langs "fr,it,sv-SE" --samu_config conf/train_samu_seamless.yaml
        --st_config conf/tuning/train_st_seamless.yaml)
    "${python}" "${main_root}/test/egs2/tiny_models.py" "${work}/models" \
        --parts seamless 2> /dev/null
    sed -e "s|${work}/models/encoder|${work}/models/seamless|" -e "/^    model_conf:/d" \
        -e "/^        [a-z_]*mask_/d" -e "/^        apply_spec_augment/d" \
        conf/train_samu.yaml > conf/train_samu_seamless.yaml
    sed -i "s|facebook/seamless-m4t-v2-large|${work}/models/seamless|" \
        conf/tuning/train_st_seamless.yaml
    echo "init_from_samu: true" >> conf/tuning/train_st_seamless.yaml
    run --scenario x2en --stage 1 --stop_stage 13
    expect "exp/samu_train_samu_seamless_raw_${samu}/retrieval_valid.r1.best/test.${tag}/retrieval.md"
    st_exp=exp/st_train_st_seamless_raw_multi_${tag}_samu_train_samu_seamless_raw_${samu}
    decoded=decode_st_valid.acc.best/test.${tag}
    expect_line "${st_exp}/config.yaml" "__eng__" "model_type: m2m_100" \
        "model_type: seamless_m4t_v2"
    same_keys "${st_exp}/${decoded}/text" "data/test.${tag}/wav.scp"

    (
        . ./path.sh
        ${python} -m espnet_samu.bin.st_import --from "${work}/models/seamless" \
            --tgt_lang_token eng --output_dir exp/st_published
    ) > "${work}/log" 2>&1 || fail "st_import failed"
    run --scenario x2en --stage 12 --stop_stage 13 --st_exp exp/st_published
    same_keys "exp/st_published/${decoded}/text" "data/test.${tag}/wav.scp"
    run --scenario x2en --stage 13 --baseline_exp exp/st_published
    for name in train_st_seamless published; do
        expect_line "${st_exp}/RESULTS.md" "^| ${name}.* *| average ("
    done
}
if [ "$*" = seamless ]; then
    seamless
    echo "smoke: passed"
    exit
fi

for scenario in "$@"; do
    run --scenario "${scenario}" --stage 1 --stop_stage 14 --skip_packing false
    tag=${scenario/multi/x2x}
    [ ${#part[@]} -eq 0 ] || tag+=_fr_it_sv-SE
    config=train_st
    case "${scenario}" in en2x | multi) config=train_st_many ;; esac
    st_exp=exp/st_${config}_raw_multi_${tag}_samu_${samu}
    decoded=${st_exp}/decode_st_valid.acc.best/test.${tag}
    expect "${st_exp}"/*.zip
    scores=${decoded}/score_st
    retrieval_set=test.${tag}
    case "${scenario}" in en2x | multi) retrieval_set=samu_dev_${samu} ;; esac
    check "${tag}" "${retrieval_set}"
    results=${st_exp}/RESULTS.md
    name="^| ${config}_samu_${samu} *| "
    expect_line "${results}" "tok:13a" "^- chrF2 .*nc:6" "^- TER .*norm:"
    case "${scenario}" in
        en2x)
            expect_line "${results}" "${name}supervised (15)" "^- BLEU (en-ja).*tok:char" \
                "^- BLEU (en-zh-CN).*tok:zh" ;;
        *)
            expect_line "${results}" "${name}average (" "${name}high (" "${name}mid (" \
                "${name}low (" "^- TRFGap of ${config}_samu_${samu}: "
            expect_line "${scores}/report.html" "XLS-R 2B (published)" ;;
    esac
    case "${scenario}" in
        high2en)
            expect_line "${results}" "${name}zero-shot (" ;;
        multi)
            expect_line "${results}" "${name}English (15)" "${name}average (36)" \
                "^- BLEU (en-ja).*tok:char" "^- BLEU (.*zh-CN.*tok:zh" ;;
    esac
    case "${scenario}" in
        *2en)
            # Speech finds speech of another language with the same translation.
            expect "${retrieval}"/heat_map_speech-speech.png
            expect_line "${results}" "^- R@1 (" ;;
    esac
done

# Beside another experiment, with tests against it.
beside() {
    local scenario=$1 tag=$2 baseline=$3 experiment=exp/st_train_st_raw_multi_$2_samu_${samu}
    scores=${experiment}/decode_st_valid.acc.best/test.${tag}/score_st
    run --scenario "${scenario}" --stage 13 --baseline_exp "${baseline}"
    name=$(basename "${baseline}" "_raw_multi_${tag}")
    name=${name#st_}
    expect_line "${experiment}/RESULTS.md" "^| ${name} *| average (" \
        "^- two-sided paired bootstrap against ${name}" "^- BLEU (.*bs:1000" "^| train_st_samu_${samu} .* ± "
    expect_line "${scores}/report.html" "<h2.*Significance"
}

if [ ${#part[@]} -gt 0 ]; then
    # What stands in for it has translated without a mistake.
    baseline=exp/st_right_raw_multi_${tag}
    mkdir -p "${baseline}/${decoded#"${st_exp}"/}"
    cp "${st_exp}/config.yaml" "${baseline}"
    cp "data/test.${tag}/text.tc.${tag}" "${baseline}/${decoded#"${st_exp}"/}/text"
    beside high2en "${tag}" "${baseline}"
    expect_line "${st_exp}/RESULTS.md" "^| right *| high (fr) *| *100.0 "
elif [[ " $* " == *" x2en "* ]]; then
    run --scenario x2en --stage 11 --st_config conf/tuning/train_st_xlsr.yaml
    beside x2en x2en exp/st_train_st_xlsr_raw_multi_x2en
fi
echo "smoke: passed"
