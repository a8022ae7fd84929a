# Sourced by the recipes' smoke tests: functions that they share, ${main_root}, and a
# folder ${work}, removed at the end. The output of the command under test is ${work}/log.
# shellcheck shell=bash
set -e
set -u
set -o pipefail

main_root=$(cd "$(dirname "${BASH_SOURCE[0]}")"/../.. && pwd)
# Of recipes and template: here, or in a copy of ESPnet that they were exported to.
recipe_root=${RECIPE_ROOT:-${main_root}}
export threads=1 # of a recipe that trains on all cores; another smoke test runs beside it
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT

# copy_recipe CORPUS: copy its folder, without the results of a full run, and go there.
copy_recipe() {
    mkdir -p "${work}/egs2/$1"
    ln -s "${recipe_root}/tools" "${work}/tools"
    ln -s "${recipe_root}/egs2/TEMPLATE" "${work}/egs2/TEMPLATE"
    tar -C "${recipe_root}/egs2/$1" -cf - --exclude ./samu_st1/data \
        --exclude ./samu_st1/dump --exclude ./samu_st1/exp \
        --exclude ./samu_st1/downloads ./samu_st1 | tar -xf - -C "${work}/egs2/$1"
    cd "${work}/egs2/$1/samu_st1"
}

fail() {
    echo "smoke: $*"
    tail -n 60 "${work}/log"
    exit 1
}

# expect FILE...: each one is there and not empty.
expect() {
    local file
    for file in "$@"; do
        [ -s "${file}" ] || fail "${file} is missing or empty"
    done
}

# expect_line FILE PATTERN...: each pattern matches some line.
expect_line() {
    local file=$1 pattern
    shift
    for pattern in "$@"; do
        grep -q -e "${pattern}" "${file}" || fail "${file} has no line '${pattern}'"
    done
}

keys() {
    cut -d " " -f 1 "$1"
}

# same_keys FILE FILE: both have the same utterances, in the same order.
same_keys() {
    diff <(keys "$1") <(keys "$2") || fail "$1: utterances lost on the way"
}
