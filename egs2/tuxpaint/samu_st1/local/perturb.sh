#!/usr/bin/env bash
# Speed perturbation of the transcribed speech. data/samu_train_sp: data/samu_train, and
# each recording once more, at .9 of its speed or at 1.1 in turns. It needs sox. Then:
#     ./run.sh --samu_train_set samu_train_sp --stage 3
set -e
set -u
set -o pipefail

. ./path.sh

files="text.tc.multi utt2lang"
factors=(0.9 1.1)
for turn in 0 1; do
    dir=data/samu_train_sp${factors[turn]}
    scripts/utils/perturb_data_dir_speed.sh --utt_extra_files "${files}" \
        "${factors[turn]}" data/samu_train "${dir}"
    awk -v turn="${turn}" 'NR % 2 != turn' "${dir}/wav.scp" > "${dir}/wav.scp.half"
    mv "${dir}/wav.scp.half" "${dir}/wav.scp"
    utils/fix_data_dir.sh --utt_extra_files "${files}" "${dir}"
done
utils/combine_data.sh --extra_files "${files}" data/samu_train_sp data/samu_train \
    "data/samu_train_sp${factors[0]}" "data/samu_train_sp${factors[1]}"
