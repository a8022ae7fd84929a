#!/usr/bin/env bash
# The smoke tests of all recipes, two side by side; or those of the recipes named.
set -e
set -u
set -o pipefail

cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- mini_asterisk covost2 europarl
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT

# A recipe's output is kept together. 255: xargs starts no other one.
smoke() {
    local rc=0
    "$2/smoke.sh" > "$1/$2" 2>&1 || rc=255
    cat "$1/$2"
    return "${rc}"
}
export -f smoke
printf '%s\n' "$@" | xargs -P 2 -I {} bash -c 'smoke "$1" "$2"' _ "${work}" {}
