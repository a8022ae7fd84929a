#!/usr/bin/env bash
# wheel_check.sh: install this package as a wheel into a user's environment, which has the
# lowest ESPnet and torch that setup.py allows: pip must replace nothing there, commands
# must work outside the repository, and bin.new_recipe must make a recipe in a clone of
# ESPnet. Takes minutes, and 6 GB below $TMPDIR.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$(pwd -P)
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT
uv=${top}/tools/venv/bin/uv
host=${work}/venv/bin/python

fail() {
    echo "wheel_check: $1" >&2
    exit 1
}

# Built from a copy: a build leaves folders behind.
mkdir "${work}/source" "${work}/outside"
git ls-files -z --cached --others --exclude-standard -- setup.py README.md LICENSE \
    espnet_samu egs2/TEMPLATE | tar -cf - --null -T - | tar -xf - -C "${work}/source"
"${uv}" --quiet build --wheel --out-dir "${work}" "${work}/source"
wheel=$(echo "${work}"/espnet_samu-*.whl)
echo "wheel_check: $(basename "${wheel}"), $(stat -c %s "${wheel}") bytes"

# The user's environment.
lowest=$(sed -nE 's/^ +"((espnet\[|torch|torchaudio)[^ ]*)>=([^ ",]+)",?$/\1==\3/p' setup.py)
"${uv}" --quiet venv --seed --python "${top}/tools/venv/bin/python" "${work}/venv"
# shellcheck disable=SC2086  # one requirement a word
"${uv}" --quiet pip install --python "${host}" ${lowest}
echo "wheel_check: a user's environment:" ${lowest}

cd "${work}/outside"
"${host}" -m pip install --quiet --dry-run --report report.json "${wheel}"
"${host}" -m pip list --format json > before.json
"${host}" - << 'EOF'
import json
import re
import sys


def versions(packages):
    return {re.sub("[-_.]+", "-", p["name"]).lower(): p["version"] for p in packages}


before = versions(json.load(open("before.json")))
new = versions(item["metadata"] for item in json.load(open("report.json"))["install"])
replaced = [f"{n} {before[n]} by {v}" for n, v in new.items() if n in before]
print(f"wheel_check: {len(before)} packages, {len(new)} to install:", *sorted(new))
if replaced:
    sys.exit(f"wheel_check: pip would replace {', '.join(replaced)}")
EOF
"${uv}" --quiet pip install --python "${host}" "${wheel}"

# A user's command, outside the repository.
run() {
    env -u PYTHONPATH HF_HUB_OFFLINE=1 "${host}" "$@" || fail "$* failed"
}
run -m espnet_samu.launch -m espnet2.bin.st_train --help > help.txt
grep -q -- "--init_from_samu" help.txt || fail "st_train --help has no --init_from_samu"
mkdir -p clone/tools clone/egs2
cp -rd "${top}"/tools/espnet/egs2/TEMPLATE clone/egs2
rm -rf clone/egs2/TEMPLATE/samu_st1
run -m espnet_samu.bin.new_recipe clone/egs2/my_corpus/samu_st1
cd clone/egs2/my_corpus/samu_st1
./samu_st.sh --help > help.txt || fail "samu_st.sh --help failed"
grep -q -- "--samu_config" help.txt || fail "samu_st.sh --help has no --samu_config"
echo "wheel_check: passed"
