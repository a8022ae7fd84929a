#!/usr/bin/env bash
# lint.sh: black, isort, flake8 and shellcheck, with ESPnet's settings, over the files
# that are ours: neither links nor what git ignores; mypy over the package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=tools/venv/bin

python_files=()
recipe_files=()
other_files=()
shell_files=()
while IFS= read -r -d "" file; do
    [ -f "${file}" ] && [ ! -L "${file}" ] || continue
    case ${file} in
        egs2/*.py) python_files+=("${file}") recipe_files+=("${file}") ;;
        *.py) python_files+=("${file}") other_files+=("${file}") ;;
        *.sh | .ci/run) shell_files+=("${file}") ;;
    esac
done < <(git ls-files -z --cached --others --exclude-standard)

for tool in black isort flake8 mypy; do
    if [ ! -x "${bin}/${tool}" ]; then
        echo "${tool} is missing; run: make -C tools setup" >&2
        exit 1
    fi
done
shellcheck=${bin}/shellcheck
if [ ! -x "${shellcheck}" ]; then
    shellcheck=$(type -P shellcheck) || {
        echo "shellcheck is missing; run: sudo apt-get install shellcheck" >&2
        exit 1
    }
fi

# mypy takes a minute the first time and seconds with its cache: beside the others.
types_log=$(mktemp)
trap 'rm -f "${types_log}"' EXIT
"${bin}/mypy" --no-error-summary >"${types_log}" 2>&1 &
types=$!

status=0
"${bin}/black" --quiet --check --diff "${python_files[@]}" || status=1
# In ESPnet, where recipes may go, espnet_samu is a package like any other.
"${bin}/isort" --quiet --check --diff --settings-path tools/espnet \
    "${recipe_files[@]}" || status=1
"${bin}/isort" --quiet --check --diff "${other_files[@]}" || status=1
"${bin}/flake8" "${python_files[@]}" || status=1
# One dialect of type hints.
if grep -nE '(^|[^A-Za-z_"])(Optional|Union|Dict|List|Set|FrozenSet|Tuple|Type)\[' \
    "${python_files[@]}"; then
    echo "lint: write X | None, X | Y, dict[...], list[...], tuple[...]" >&2
    status=1
fi
# ESPnet's own exceptions; -s because sourced files (cmd.sh) have no first line; -P as
# recipes source ./path.sh and utils/ from their folder, in local/ too.
"${shellcheck}" -s bash -x -P SCRIPTDIR -P SCRIPTDIR/.. -e SC2001,SC1091,SC2086 \
    "${shell_files[@]}" || status=1
wait "${types}" || status=1
cat "${types_log}"
if [ "${status}" = 0 ]; then
    echo "lint: ${#python_files[@]} Python and ${#shell_files[@]} shell files, clean"
fi
exit "${status}"
