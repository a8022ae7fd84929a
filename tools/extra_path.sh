#!/usr/bin/env bash
# Sourced by ESPnet's path.sh: the programs that ESPnet keeps beside its Python code.

_tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" >/dev/null 2>&1 && pwd)
if [ ! -f "${_tools}/espnet/tools/extra_path.sh" ]; then
    echo "${_tools}/espnet is missing; run: make -C ${_tools} setup" >&2
    case $- in
        *i*) return 1 ;;
        *) exit 1 ;;
    esac
fi

# spm_train and its like, and whatever tools a checkout at ESPNET_ROOT has built.
. "${_tools}/espnet/tools/extra_path.sh"
# Last: path.sh has put the recipe's own utils/ first, which has some of the same names.
export PATH="${PATH}:${_tools}/espnet/utils"
unset _tools
