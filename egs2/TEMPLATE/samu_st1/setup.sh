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
exec "${python}" -m espnet_samu.bin.new_recipe "$1"
