#!/usr/bin/env bash
# Make a recipe for a corpus of your own.
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

log() {
    local fname=${BASH_SOURCE[1]##*/}
    echo -e "$(date '+%Y-%m-%dT%H:%M:%S') (${fname}:${BASH_LINENO[0]}:${FUNCNAME[1]}) $*"
}
help_message=$(cat << EOF
Usage: $0 <target-dir>
e.g.:  $0 egs2/my_corpus/samu_st1
EOF
)


if [ $# -ne 1 ] || [ "$1" = --help ]; then
    log "${help_message}"
    log "Error: 1 positional argument is required."
    exit 2
fi


dir=$1
egs=$(realpath -m -- "${dir}/../..")
copied="${egs}/TEMPLATE/samu_st1/run.sh ${egs}/TEMPLATE/samu_st1/conf "
copied+="${egs}/TEMPLATE/samu_st1/local ${egs}/TEMPLATE/st1/cmd.sh"
cluster_confs="pbs.conf queue.conf slurm.conf"
links="samu_st1/samu_st.sh st1/st.sh st1/path.sh "
links+="asr1/db.sh asr1/scripts asr1/pyscripts asr1/utils asr1/steps"

# All is checked before anything is made.
if [ ! -d "${egs}/TEMPLATE/samu_st1" ]; then
    log "Error: ${egs}/TEMPLATE/samu_st1 should exist. You may specify wrong directory:" \
        "<target-dir> is two levels below egs2, e.g. egs2/my_corpus/samu_st1"
    exit 1
fi
for f in ${links}; do
    if [ ! -e "${egs}/TEMPLATE/${f}" ]; then
        log "Error: ${egs}/TEMPLATE/${f} leads nowhere: ESPnet is not there." \
            "Run: make -C ${egs%/*}/tools setup"
        exit 1
    fi
done
for f in ${copied} ${links}; do
    if [ -e "${dir}/${f##*/}" ] || [ -L "${dir}/${f##*/}" ]; then
        log "Error: ${dir} already holds a recipe: it has ${f##*/}"
        exit 1
    fi
done

mkdir -p "${dir}"
targets=""

# Copy
for f in ${copied}; do
    cp -r "${f}" "${dir}"
    targets+="${dir}/${f##*/} "
done
for f in ${cluster_confs}; do
    cp "${egs}/TEMPLATE/st1/conf/${f}" "${dir}/conf"
    targets+="${dir}/conf/${f} "
done

# Symlinks to TEMPLATE
for f in ${links}; do
    ln -s "../../TEMPLATE/${f}" "${dir}"
    targets+="${dir}/${f##*/} "
done

log "Created: ${targets}"
log "Next: cd ${dir}; ./run.sh --local_data_opts \"--manifest train.tsv" \
    "--valid_manifest dev.tsv --test_manifests test.tsv\""
