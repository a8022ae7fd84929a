#!/usr/bin/env bash
# Exported recipes, in a copy of ESPnet's sources whose Python has espnet_samu as a wheel:
# all stages of mini_an4 with "coverage run --append", as ESPnet's integration tests do,
# or the smoke tests of other recipes.
#   ./upstream_smoke.sh                    mini_an4
#   ./upstream_smoke.sh europarl covost2   these, reduced
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/smoke_lib.sh
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1
tools=${main_root}/tools
[ $# -gt 0 ] || set -- mini_an4

# The wheel, built from a copy, for a build leaves folders behind. Before the editable
# package in PYTHONPATH.
mkdir "${work}/source"
cd "${main_root}"
git ls-files -z --cached --others --exclude-standard -- setup.py README.md LICENSE \
    espnet_samu egs2/TEMPLATE | tar -cf - --null -T - | tar -xf - -C "${work}/source"
"${tools}/venv/bin/uv" --quiet build --wheel --out-dir "${work}" "${work}/source"
"${tools}/venv/bin/uv" --quiet pip install --python "${tools}/venv/bin/python" --no-deps \
    --target "${work}/site" "${work}"/espnet_samu-*.whl coverage
export PYTHONPATH=${work}/site PATH=${work}/site/bin:${tools}/venv/bin:${PATH}

recipe_root=${work}/espnet
cp -a "${tools}/espnet" "${recipe_root}"
for corpus; do
    python3 "${tools}/export_upstream.py" "${corpus}" "${recipe_root}" > "${work}/log" 2>&1 \
        || fail "${corpus} was not exported"
done

cd "${recipe_root}"
place=$(python3 -c "import espnet_samu; print(espnet_samu.__file__)")
[ "${place}" = "${work}/site/espnet_samu/__init__.py" ] || fail "not the wheel: ${place}"

mini_an4() {
    local stages
    cd "${recipe_root}/egs2/mini_an4/samu_st1"
    touch empty.py
    coverage run --append empty.py
    for stages in "--stage 1 --stop-stage 5" "--stage 6 --stop-stage 14 --skip-packing false"; do
        echo "upstream_smoke: mini_an4: ./run.sh ${stages}"
        # shellcheck disable=SC2086
        ./run.sh ${stages} --python "coverage run --append" > "${work}/log" 2>&1 \
            || fail "./run.sh failed"
    done
    expect exp/st_*/RESULTS.md exp/st_*/*.zip
    coverage report --include "*/espnet_samu/tasks/*" > "${work}/log"
    tail -n 1 "${work}/log"
}

for corpus; do
    echo "upstream_smoke: ${corpus}"
    if [ "${corpus}" = mini_an4 ]; then
        mini_an4
    else
        scenario=()
        # As in CI it has a configuration that is not exported.
        [ "${corpus}" != europarl ] || scenario=(x2en)
        RECIPE_ROOT=${recipe_root} "${main_root}/test/egs2/${corpus}/smoke.sh" "${scenario[@]}"
    fi
done
echo "upstream_smoke: passed"
