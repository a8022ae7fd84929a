#!/usr/bin/env bash
# The smoke tests of all recipes, two side by side; or those of the recipes named.
set -e
set -u
set -o pipefail

cd "$(dirname "$0")"
if [ $# -gt 0 ]; then
    for recipe in "$@"; do
        "${recipe}/smoke.sh"
    done
    exit
fi

# The longest first. The output of each is printed in one piece when it has ended.
# shellcheck disable=SC2016  # the inner bash expands it
printf "%s\n" mini_asterisk/smoke.sh covost2/smoke.sh mini_asterisk/study_smoke.sh \
    europarl/smoke.sh \
    | xargs -P 2 -I {} bash -c '
        start=${SECONDS} rc=0
        out=$("./$1" 2>&1) || rc=$?
        printf "%s\n%s: %s s, exit status %s\n" "${out}" "$1" "$((SECONDS - start))" "${rc}"
        exit "${rc}"' _ {}
