#!/usr/bin/env bash
# Train the encoder of the study's CTC arms by ESPnet's own ASR training, on the
# transcripts that the student is distilled on. The pieces are trained on them, too.
set -e
set -u
set -o pipefail

ctc_config=conf/tuning/train_ctc.yaml
output_dir=           # Experiment folder.
pieces_dir=data/study/ctc_pieces
nbpe=300              # Pieces, as there are more characters than frames of 80 ms.
train_set=samu_train
# shellcheck disable=SC2034  # by its name, below
valid_set=samu_dev
seed=1
ngpu=0
python=python3
# shellcheck disable=SC2034  # parse_options.sh prints it
help_message="Usage: $0 --output_dir <dir> [--ctc_config ${ctc_config}] [--seed 1] [--nbpe 300] [--ngpu 0]"

. utils/parse_options.sh
. ./path.sh

if [ -z "${output_dir}" ]; then
    echo "Error: --output_dir is required" >&2
    exit 2
fi
if [ ! -s "${pieces_dir}/tokens.txt" ]; then
    mkdir -p "${pieces_dir}"
    # In a folder of its own: two runs may do this at the same time.
    work=$(mktemp -d "${pieces_dir}/.XXXXXX")
    cut -d " " -f 2- "dump/raw/${train_set}/text.tc.multi" > "${work}/text"
    ${python} -c "
import sys
import sentencepiece

folder, size = sys.argv[1:]
sentencepiece.SentencePieceTrainer.train(
    input=folder + '/text',
    model_prefix=folder + '/bpe',
    vocab_size=int(size),
    character_coverage=1.0,
    num_threads=1,
    minloglevel=2,
)
" "${work}" "${nbpe}"
    {
        echo "<blank>"
        echo "<unk>"
        awk 'NR > 3 { print $1 }' "${work}/bpe.vocab"
        echo "<sos/eos>"
    } > "${work}/tokens.txt"
    mv "${work}/bpe.model" "${pieces_dir}/bpe.model"
    mv "${work}/tokens.txt" "${pieces_dir}/tokens.txt"
    rm -r "${work}"
fi

mkdir -p "${output_dir}"
opts=()
for dset in train valid; do
    set_name=${dset}_set
    dir=dump/raw/${!set_name}
    opts+=("--${dset}_data_path_and_name_and_type" "${dir}/wav.scp,speech,sound")
    opts+=("--${dset}_data_path_and_name_and_type" "${dir}/text.tc.multi,text,text")
    opts+=("--${dset}_shape_file" "${dir}/utt2num_samples")
done
${python} -m espnet_samu.launch -m espnet2.bin.asr_train \
    --config "${ctc_config}" \
    --use_preprocessor true \
    --token_type bpe \
    --bpemodel "${pieces_dir}/bpe.model" \
    --token_list "${pieces_dir}/tokens.txt" \
    --output_dir "${output_dir}" \
    --resume true \
    --ngpu "${ngpu}" \
    --seed "${seed}" \
    "${opts[@]}" > "${output_dir}/train.log" 2>&1
