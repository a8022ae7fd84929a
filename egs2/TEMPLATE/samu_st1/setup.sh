#!/usr/bin/env bash
# Make a recipe for a corpus of your own: python3 -m espnet_samu.bin.new_recipe
# Set bash to 'debug' mode, it will exit on :
# -e 'error', -u 'undefined variable', -o ... 'error in pipeline', -x 'print commands',
set -e
set -u
set -o pipefail

if [ $# -ne 1 ] || [ "$1" = --help ]; then
    echo "Usage: $0 <target-dir>"
    echo "e.g.:  $0 egs2/my_corpus/samu_st1"
    exit 2
fi

# In the repository of espnet_samu its own package is used, which need not be installed;
# in a clone of ESPnet the installed one.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
if [ -d "${root}/espnet_samu" ]; then
    export PYTHONPATH=${root}${PYTHONPATH:+:${PYTHONPATH}}
fi
python=python3
if [ -x "${root}/tools/venv/bin/python" ]; then
    python=${root}/tools/venv/bin/python
fi
if "${python}" -c "import espnet_samu" 2> /dev/null; then
    exec "${python}" -m espnet_samu.bin.new_recipe "$1"
fi

# Without espnet_samu, as in ESPnet's CI, which makes a recipe of every template.
mkdir -p "$1"
if [ ! -d "$1/../../TEMPLATE" ]; then
    echo "Error: $1/../../TEMPLATE should exist. You may specify wrong directory." >&2
    exit 1
fi
if [ -e "$1/run.sh" ]; then
    echo "Error: $1 already holds a recipe: it has run.sh" >&2
    exit 1
fi
for name in samu_st1/{run.sh,conf,local} st1/cmd.sh; do
    cp -r "$1/../../TEMPLATE/${name}" "$1"
done
cp "$1"/../../TEMPLATE/st1/conf/{pbs,queue,slurm}.conf "$1/conf"
for name in samu_st1/samu_st.sh st1/{st,path}.sh asr1/{db.sh,scripts,pyscripts,utils,steps}; do
    ln -sf "../../TEMPLATE/${name}" "$1"
done
echo "Created: $1"
