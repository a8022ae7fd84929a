#!/usr/bin/env bash
# find_python.sh: print the path of a Python that the packages can be installed for, or
# say on stderr which ones were tried and what they lack. Each candidate is run: a version
# manager's shim python3.12 may be on PATH without a Python 3.12 behind it.
set -euo pipefail

# Prints "major.minor venv headers path"; venv and headers are 1 or 0.
probe='
import os, sys, sysconfig
from importlib.util import find_spec
print(
    "%d.%d" % sys.version_info[:2],
    int(find_spec("ensurepip") is not None),
    int(os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))),
    sys.executable,
)
'
rejected=""

reject() {
    rejected+="  $1: $2"$'\n'
}

# True if a command is there and runs (a shim may be there and not run).
runs() {
    "$@" >/dev/null 2>&1
}

# consider CANDIDATE: print its path and exit if it fits, else note why not.
consider() {
    local candidate=$1 answer version path has_venv has_headers
    answer=$("${candidate}" -c "${probe}" 2>/dev/null </dev/null) || {
        reject "${candidate}" "does not run"
        return 0
    }
    read -r version has_venv has_headers path <<<"${answer}"
    case ${version} in
        3.12 | 3.13) ;;
        *)
            reject "${candidate}" "is Python ${version}"
            return 0
            ;;
    esac
    if [ "${has_venv}" != 1 ] && ! runs uv --version; then
        reject "${candidate}" "cannot make environments; on Debian or Ubuntu:\
 sudo apt-get install python${version}-venv"
        return 0
    fi
    # editdistance, which ESPnet's training needs, has wheels up to Python 3.12.
    if [ "${version}" = 3.13 ]; then
        if [ "${has_headers}" != 1 ] || ! runs c++ --version; then
            reject "${candidate}" "one package has to be compiled for Python 3.13;\
 on Debian or Ubuntu: sudo apt-get install g++ python3.13-dev"
            return 0
        fi
    fi
    echo "${path}"
    exit 0
}

fail() {
    {
        echo "Python 3.12 or 3.13 is needed and none was found."
        if [ -n "${rejected}" ]; then
            echo "Looked at:"
            printf '%s' "${rejected}"
        fi
        cat <<'EOF'
To mend it, any one of:
  Debian 13, Ubuntu 24.04 or later: sudo apt-get install python3 python3-venv
  with pyenv:                       pyenv install 3.12
  with uv:                          uv python install 3.12
  one that is elsewhere:            make -C tools setup PYTHON=/path/to/python3.12
EOF
    } >&2
    exit 1
}

# If the user names a Python, no other is taken in its place.
if [ -n "${PYTHON:-}" ]; then
    consider "${PYTHON}"
    echo "PYTHON=${PYTHON} does not fit." >&2
    fail
fi

for name in python3.12 python3.13 python3; do
    path=$(type -P "${name}") || continue
    consider "${path}"
done
for version in 3.12 3.13; do
    for path in "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/${version}".*/bin/python; do
        if [ -x "${path}" ]; then
            consider "${path}"
        fi
    done
done
for version in 3.12 3.13; do
    # "find" never downloads.
    if path=$(uv python find --no-project "${version}" 2>/dev/null); then
        consider "${path}"
    fi
done
fail
