#!/usr/bin/env bash
# The smoke tests of all recipes, two side by side; or those of the recipes named.
set -e
set -u
set -o pipefail

cd "$(dirname "$0")"
in_turn() {
    local recipe
    for recipe in "$@"; do
        "${recipe}/smoke.sh" || return 1
    done
}
if [ $# -gt 0 ]; then
    in_turn "$@"
    exit
fi

log=$(mktemp)
trap 'rm -f "${log}"' EXIT
in_turn covost2 europarl > "${log}" 2>&1 &
others=$!
rc=0
in_turn mini_asterisk || rc=1
wait "${others}" || rc=1
cat "${log}"
exit "${rc}"
