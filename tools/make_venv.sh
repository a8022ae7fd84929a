#!/usr/bin/env bash
# make_venv.sh [--lowest]: make tools/venv with this package, editable, and its
# requirements in the versions of constraints.txt; or tools/venv-lowest with the lowest
# versions that setup.py allows. Does nothing if all of it is installed. Settings of pip and
# uv (index, proxy, certificate) are taken from the environment and from their own files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$(pwd -P)
top=$(dirname "${here}")
venv=venv
versions=(-c constraints.txt)
if [ "${1:-}" = --lowest ]; then
    venv="venv-lowest"
    versions=(--resolution lowest-direct)
fi
python=${here}/${venv}/bin/python
log=${here}/logs/make_${venv}.log

case ${here} in
    *[[:space:]]*)
        echo "ESPnet's scripts cannot run below a folder with a space: ${here}" >&2
        exit 1
        ;;
esac

# run COMMAND...: quiet unless it fails.
run() {
    echo "+ $*" >>"${log}"
    "$@" >>"${log}" 2>&1 </dev/null
}

fail() {
    echo "venv: $1; the end of ${log}:" >&2
    tail -n 20 "${log}" >&2
    exit 1
}

# True if a uv is there and runs (a version manager's shim may be there and not run).
find_uv() {
    for uv in uv "${here}/${venv}/bin/uv" "${here}/venv/bin/uv"; do
        "${uv}" --version >/dev/null 2>&1 && return 0
    done
    return 1
}

# uv does not read pip's settings: pass on those of index and certificate, which a machine
# behind a mirror needs, unless uv has its own.
share_pip_settings() {
    local index cert
    index=${PIP_INDEX_URL:-$("${python}" -m pip config get global.index-url || true)}
    cert=${PIP_CERT:-$("${python}" -m pip config get global.cert || true)}
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] && [ -n "${index}" ]; then
        export UV_DEFAULT_INDEX=${index}
    fi
    if [ -z "${SSL_CERT_FILE:-}" ] && [ -n "${cert}" ]; then
        export SSL_CERT_FILE=${cert}
    fi
}

# An environment contains its own path: one that was copied or moved is made again.
state=$( (cat "${top}/setup.py" constraints.txt && echo "${here}") | sha256sum)
state=${state%% *}
describe="venv: tools/${venv}, $("${python}" --version 2>/dev/null || true)"
if [ "$(cat "${venv}/.installed" 2>/dev/null)" = "${state}" ] &&
    { [ "${venv}" = venv-lowest ] ||
        "${python}" check_install.py --packages >/dev/null 2>&1; }; then
    if [ -n "${PYTHON:-}" ] &&
        [ "$("${PYTHON}" --version 2>&1)" != "$("${python}" --version)" ]; then
        echo "venv: tools/${venv} has another Python than ${PYTHON}; make clean first" >&2
    fi
    echo "${describe}, up to date"
    exit 0
fi

mkdir -p logs
: >"${log}"
start=${SECONDS}
if [ "$(cat "${venv}/.made_in" 2>/dev/null)" != "${here}" ] ||
    ! "${python}" -c "" 2>/dev/null; then
    base=$(./find_python.sh)
    rm -rf "${venv}"
    # Debian's Python comes without ensurepip; uv can do without it.
    run "${base}" -m venv "${venv}" ||
        { rm -rf "${venv}" && find_uv &&
            run "${uv}" venv --seed --python "${base}" "${venv}"; } ||
        fail "cannot make an environment with ${base}"
    echo "${here}" >"${venv}/.made_in"
fi
rm -f "${venv}/.installed"

installed=false
# uv needs half a minute where pip needs several.
if find_uv || { run "${python}" -m pip install uv && find_uv; }; then
    if (share_pip_settings 2>/dev/null &&
        run "${uv}" pip install --python "${python}" "${versions[@]}" \
            -e "${top}[test]"); then
        installed=true
    else
        echo "venv: uv failed (see ${log})" >&2
    fi
fi
if [ "${installed}" = false ] && [ "${venv}" = venv-lowest ]; then
    fail "cannot install the lowest versions, which only uv can find"
elif [ "${installed}" = false ]; then
    run "${python}" -m pip install -c constraints.txt -e "${top}[test]" ||
        fail "cannot install"
fi
echo "${state}" >"${venv}/.installed"
echo "venv: tools/${venv}, $("${python}" --version), installed in $((SECONDS - start)) s"
