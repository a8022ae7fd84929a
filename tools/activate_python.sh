#!/usr/bin/env bash
# Sourced by ESPnet's path.sh: puts the Python of tools/venv first on PATH.
# (venv/bin/activate would also change the prompt, and undo PATH when sourced twice.)

_tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" >/dev/null 2>&1 && pwd)
if [ ! -x "${_tools}/venv/bin/python" ]; then
    echo "${_tools}/venv is missing; run: make -C ${_tools} setup" >&2
    # path.sh ignores our status, and going on would take another Python.
    case $- in
        *i*) return 1 ;;
        *) exit 1 ;;
    esac
fi

export VIRTUAL_ENV="${_tools}/venv"
unset PYTHONHOME
# Container images set it: then every process compiles torch and ESPnet anew, 9 s of CPU.
unset PYTHONDONTWRITEBYTECODE
if [ "$(command -v python3)" != "${VIRTUAL_ENV}/bin/python3" ]; then
    export PATH="${VIRTUAL_ENV}/bin:${PATH}"
fi
unset _tools
