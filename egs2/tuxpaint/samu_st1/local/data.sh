#!/usr/bin/env bash
# Tux Paint's spoken stamps: 5,300 short descriptions of pictures ("A blue ringed
# octopus."), read by one person a language, in Debian's package tuxpaint-stamps-default
# (160 MB, GPL-2). Spanish, French and Russian have English translations; Belarusian,
# Bulgarian, Catalan and Romanian only transcripts, in training.
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}
SECONDS=0

stage=1
stop_stage=100
stamps=
st_langs="es fr ru"
samu_langs="be bg ca ro"
unheard_langs="en da el"
max_seconds=8
clips_dir=dump/clips
nj=$(env -u OMP_NUM_THREADS nproc) # nproc follows it, and path.sh sets 1
python=${SAMU_PYTHON:-python3}

# shellcheck disable=SC2034  # parse_options.sh prints it
help_message=$(cat << EOM
Usage: $0 [--stage 1] [--stop_stage 100] [--stamps <dir>]

Options:
    --stage       # 1: fetch, 2: manifests, 3: data directories, 4: validate
                  # (default="${stage}").
    --stop_stage  # Last stage to run (default="${stop_stage}").
    --stamps      # Folder of stamps, where there is no apt: usr/share/tuxpaint/stamps of the
                  # package (default: it is fetched and unpacked to downloads/).
    --st_langs    # Languages with translations in training (default="${st_langs}").
    --samu_langs  # Languages with transcripts alone (default="${samu_langs}").
    --unheard_langs  # In no training, for test_unheard (default="${unheard_langs}").
    --max_seconds # Of the longest recording (default="${max_seconds}").
    --clips_dir   # Folder of the converted recordings (default="${clips_dir}").
    --nj          # Threads that decode recordings (default: the cores, "${nj}").
    --python      # Python with espnet_samu (default="${python}").
EOM
)

log "$0 $*"
. utils/parse_options.sh

if [ $# -ne 0 ]; then
    log "Error: No positional arguments are required."
    exit 2
fi

. ./path.sh
. ./cmd.sh

package=tuxpaint-stamps-default
prompts=../../mini_asterisk/samu_st1 # whole telephone prompts by other readers
if [ ${stage} -le 1 ] && [ ${stop_stage} -ge 1 ] && [ -z "${stamps}" ]; then
    if [ -e downloads/.done ]; then
        log "stage 1: downloads/ is there already"
    else
        log "stage 1: Fetch ${package}"
        if ! command -v apt-get > /dev/null || ! command -v dpkg-deb > /dev/null; then
            log "Error: there is no apt-get and dpkg-deb here: unpack ${package} of" \
                "packages.debian.org, and pass --local_data_opts \"--stamps" \
                "<dir>/usr/share/tuxpaint/stamps\""
            exit 1
        fi
        rm -rf downloads
        mkdir downloads
        (cd downloads && apt-get download -q "${package}") || {
            log "Error: apt-get cannot fetch ${package}: it needs a line for Debian, or for" \
                "Ubuntu's universe, in its sources, and apt-get update"
            exit 1
        }
        dpkg-deb -x downloads/"${package}"_*.deb downloads
        touch downloads/.done
    fi
fi
stamps=${stamps:-downloads/usr/share/tuxpaint/stamps}

if [ ${stage} -le 2 ] && [ ${stop_stage} -ge 2 ]; then
    log "stage 2: Manifests: data/local"
    ${python} local/stamps.py \
        --stamps "${stamps}" \
        --output_dir data/local \
        --st_langs "${st_langs}" \
        --samu_langs "${samu_langs}" \
        --unheard_langs "${unheard_langs}" \
        --max_seconds "${max_seconds}"
    log "stage 2: Other readers: test_voices"
    rm -rf data/local/prompts
    tar -xzf "${prompts}/prompts.tar.gz" -C data/local
    ${python} local/voices.py \
        --prompts data/local/prompts \
        --prompt_list "${prompts}/local/prompt_list.tsv" \
        --output data/local/test_voices.tsv
fi

sets="samu_train samu_dev train dev test_seen test_held test_voices test_unheard"
if [ ${stage} -le 3 ] && [ ${stop_stage} -ge 3 ]; then
    log "stage 3: Data directories: ${sets}"
    rm -f data/.sets
    for dset in ${sets}; do
        samu=false
        [[ "${dset}" == samu_* ]] && samu=true
        ${python} -m espnet_samu.bin.prepare manifest \
            --manifest "data/local/${dset}.tsv" \
            --output_dir "data/${dset}" \
            --src_lang multi --tgt_lang en \
            --samu "${samu}" \
            --clips_dir "${clips_dir}" \
            --drop_faulty true \
            --nj "${nj}"
    done
fi

if [ ${stage} -le 4 ] && [ ${stop_stage} -ge 4 ]; then
    log "stage 4: Validate"
    for dset in ${sets}; do
        utils/validate_data_dir.sh --no-feats --no-text "data/${dset}"
    done
    printf '%s\n' ${sets} > data/.sets
fi

log "Successfully finished. [elapsed=${SECONDS}s]"
