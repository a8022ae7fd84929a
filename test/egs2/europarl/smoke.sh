#!/usr/bin/env bash
# All stages of the recipe, in a copy of its folder, on the small corpus of
# europarl_st_tree.py with the small models of tiny_models.py: data, distillation,
# retrieval, translation, decoding, scoring. Scores are not checked.
#   ./smoke.sh                     zeroshot with adapters, and a pack of it, as in CI
#   ./smoke.sh x2en m2m zeroshot   all scenarios
#   ./smoke.sh x2en baseline       a scenario, and the baseline for comparison
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1
in_ci=false
if [ $# -eq 0 ]; then
    in_ci=true
    set -- zeroshot
fi

copy_recipe europarl
python=${main_root}/tools/venv/bin/python
"${python}" "${main_root}/test/espnet_samu/corpora/europarl_st_tree.py" "${work}/corpus"
"${python}" "${main_root}/test/egs2/tiny_models.py" "${work}/models" \
    --encoder facebook/w2v-bert-2.0/resaved-4.37.1 \
    --decoder facebook/nllb-200-distilled-600M 2> "${work}/log"

# The recipe's configurations, with small models and few updates.
find conf -name "train_*.yaml" -exec sed -i \
    -e "s|facebook/wav2vec2-xls-r-300m|${work}/models/encoder|" \
    -e "s|facebook/mbart-large-50-many-to-many-mmt|${work}/models/decoder|" \
    -e "s/^max_epoch: .*/max_epoch: 1/" \
    -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
    -e "s/^batch_bins: .*/batch_bins: 100000/" \
    -e "s/^num_workers: .*/num_workers: 0/" {} +

run() {
    echo "smoke: ./run.sh $*"
    ./run.sh --europarl_st "${work}/corpus" --samu_langs de,en,fr \
        --teacher "${work}/models/teacher" \
        --ngpu 0 --gpu_inference false --nj 1 \
        --inference_args "--maxlenratio -20" "$@" > "${work}/log" 2>&1 || fail "./run.sh failed"
}

# expect_words FILE PATTERN...: some line matches all patterns.
expect_words() {
    local file=$1 lines word
    shift
    lines=$(cat "${file}")
    for word; do
        lines=$(grep -e "${word}" <<< "${lines}") || fail "${file}: no line has $*"
    done
}

samu_exp=exp/samu_train_samu_raw_de_en_fr
decode_dir=decode_st_maxlenratio-20_valid.acc.best
# describe SCENARIO: set its options, its names and the rows of its table.
describe() {
    case "$1" in
        x2en)
            options=(--src_langs "de,fr")
            tag=x2en_src_de_fr
            rows=("| de  *|" "| fr  *|" "| supervised (de fr) *|") ;;
        m2m)
            options=(--src_langs "de,en,fr" --tgt_langs "de,en,fr")
            tag=m2m_src_de_en_fr_tgt_de_en_fr
            rows=("| de-en *|" "| de-fr *|" "| en-de *|" "| en-fr *|" "| fr-de *|" "| fr-en *|"
                "| supervised (6) *|") ;;
        zeroshot)
            options=(--src_langs "de,fr" --st_src_langs de)
            tag=zeroshot_de_src_de_fr
            rows=("| de  *|" "| fr  *|" "| zero-shot (fr) *|" "| supervised (de) *|") ;;
        *) fail "no such scenario: $1" ;;
    esac
    st_conf=train_st
    if "${in_ci}"; then
        st_conf=train_st_adapters
        options+=(--st_config conf/tuning/train_st_adapters.yaml)
    elif [ "$1" = m2m ]; then
        st_conf=train_st_many
    fi
    st_exp=exp/st_${st_conf}_raw_multi_${tag}_samu_de_en_fr
    system=${st_conf}_samu_de_en_fr
    options=(--scenario "$1" "${options[@]}")
}

check_data() {
    expect_words "data/local/${tag}/faults.tsv" "de-en" "train" "duplicate"
    expect_words "data/local/${tag}/faults.tsv" "de-en" "test" "extended to 0.2 s"
    expect "data/local/${tag}"/{counts.md,counts.json}
    expect dump/raw/{train,dev,test}."${tag}"/{wav.scp,utt2lang,utt2tgt_lang,text.tc.multi}
    expect data/multi_"${tag}"_token_list/*/{tokens.txt,bpe.model,trim.json}
}
check_distillation() {
    local name
    for name in samu_train_de_en_fr samu_dev_de_en_fr "$1"; do
        expect exp/teacher_*/"${name}/embed.scp"
    done
    expect exp/samu_stats_raw_de_en_fr/{train,valid}/speech_shape
    expect "${samu_exp}"/{valid.r1.best.pth,budget.json,languages.md}
    expect "${samu_exp}/retrieval_valid.r1.best/$1"/{retrieval.json,retrieval.md}
}
check_translation() {
    local dir=${st_exp}/${decode_dir}/test.${tag} row
    expect "${st_exp}"/{valid.acc.best.pth,budget.json,config.yaml}
    same_keys "${dir}/text" "dump/raw/test.${tag}/wav.scp"
    same_keys "${dir}/text" "data/test.${tag}/segments"
    expect "${dir}/score_st"/{results.json,table.md,report.html} "${st_exp}/RESULTS.md"
    for row in "${rows[@]}"; do
        expect_words "${st_exp}/RESULTS.md" "| $1  *|" "${row}"
    done
    expect_words "${st_exp}/RESULTS.md" "^- BLEU" "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"
    expect_words "${st_exp}/RESULTS.md" "^- chrF2" "nrefs:1|case:mixed|eff:yes|nc:6|nw:0"
    expect_words "${st_exp}/RESULTS.md" "^- TER" "nrefs:1|case:mixed|tok:tercom"
    expect_words "${dir}/score_st/report.html" "SeamlessM4T v2 (published)"
}

# Scored beside a system without any mistake, with significance tests against it.
check_beside_another() {
    local right=exp/st_right_raw_multi_${tag}
    mkdir -p "${right}/${decode_dir}/test.${tag}"
    cp "${st_exp}/config.yaml" "${right}"
    cp "data/test.${tag}/text.tc.${tag}" "${right}/${decode_dir}/test.${tag}/text"
    run "${options[@]}" --stage 13 --stop_stage 13 --baseline_exp "${right}"
    expect_words "${st_exp}/RESULTS.md" "^| right  *| de  *| *100.0 "
    expect_words "${st_exp}/RESULTS.md" "^- two-sided paired bootstrap against right"
    expect_words "${st_exp}/RESULTS.md" "^| ${system}  *| de .* ± "
    check_translation "${system}"
}

student=false
for scenario in "$@"; do
    if [ "${scenario}" = baseline ]; then
        continue
    fi
    describe "${scenario}"
    if ! "${student}"; then
        run "${options[@]}" --stage 1 --stop_stage 14 --skip_packing false
        expect "${st_exp}"/*.zip
        retrieval_set=test.${tag}
        [ "${scenario}" = m2m ] && retrieval_set=samu_dev_de_en_fr
        check_distillation "${retrieval_set}"
        student=true
    else
        # The first scenario's student is used.
        run "${options[@]}" --stop_stage 5
        run "${options[@]}" --stage 10 --stop_stage 13
    fi
    check_data
    check_translation "${system}"
    [ $# -gt 1 ] || check_beside_another
    cat "${st_exp}/${decode_dir}/test.${tag}/score_st/table.md"
done
for scenario in "$@"; do
    if [ "${scenario}" = baseline ]; then
        describe "$1"
        baseline=exp/st_train_st_xlsr_raw_multi_${tag}
        run "${options[@]}" --stage 11 --stop_stage 12 \
            --st_config conf/tuning/train_st_xlsr.yaml
        run "${options[@]}" --stage 13 --stop_stage 13 --baseline_exp "${baseline}"
        check_translation train_st_xlsr
        expect_words "${st_exp}/RESULTS.md" "^- two-sided paired bootstrap against train_st_xlsr"
    fi
done
echo "smoke: passed"
