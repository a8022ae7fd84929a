#!/usr/bin/env bash
# The study of study/README.md: what does distillation add to a pretrained encoder?
# Every finished run is a file study/runs/<arm>/seed<N>.json and is not run again, so
# that the study can be made in pieces: ./run_study.sh --hours 1
# Then tables and a page are made from all finished runs.
set -e
set -u
set -o pipefail

help_message=$(cat << EOT
Usage: $0 [--arms "b c"] [--seeds "1 2"] [--jobs 2] [--quick true]

Options:
    --arms          # Names of arms of study/arms.yaml (default: all, primary ones first).
    --seeds         # Seeds (default: those of study/arms.yaml).
    --jobs          # Runs side by side, one thread each (default: number of cores).
    --quick         # Few arms, one seed, a tenth of the updates, in exp/study_quick (default="false").
    --hours         # Start nothing after so many hours (default: no end).
    --retry_failed  # Run failed runs again (default="false").
    --dry_run       # Only say what would be run (default="false").
    --store         # Store the settings that runs are compared with, and end (default="false").
    --report        # Only make tables and page of the runs that are there (default="false").
    --local_data_opts  # Options of local/data.sh (default="").
EOT
)
for word in "$@"; do
    if [ "${word}" = --help ]; then
        printf '%s\n' "${help_message}"
        exit 0
    fi
done

. ./path.sh
. ./cmd.sh
export PYTHONPATH="${MAIN_ROOT}/tools${PYTHONPATH:+:${PYTHONPATH}}"    # the package study

# One single-threaded process per core.
export threads=1 OMP_NUM_THREADS=1
declare -A flags=([quick]=false [dry_run]=false [store]=false [report]=false [retry_failed]=false)
local_data_opts=
opts=()
while [ $# -gt 0 ]; do
    name=${1#--}
    case "${name}" in
        quick | dry_run | store | report | retry_failed)
            case "${2:-}" in
                true | false) flags[${name}]=$2 ;;
                *)
                    echo "Error: $1 must be true or false: '${2:-}'" >&2
                    exit 2 ;;
            esac ;;
        local_data_opts) local_data_opts=${2?value of $1 is missing} ;;
        arms | seeds | jobs | hours) opts+=("$1" "${2:?value of $1 is missing}") ;;
        *)
            echo "Error: invalid option $1 (see $0 --help)" >&2
            exit 2 ;;
    esac
    shift 2
done
for name in quick dry_run store retry_failed; do
    opts+=("--${name}" "${flags[${name}]}")
done
root=exp/study
runs=study/runs
out=study
if [ "${flags[quick]}" = true ]; then
    root=exp/study_quick
    runs=${root}/runs
    out=${root}
fi

shared=exp/study    # what all arms and seeds have in common
vocabulary=$(sed -n 's/^ *vocabulary: *//p' study/arms.yaml)
run() {
    ./run.sh --baseline false --expdir "${shared}" --tgt_nbpe "${vocabulary}" \
        --local_data_opts "${local_data_opts}" "$@"
}
if [ "${flags[dry_run]}" = false ] && [ "${flags[store]}" = false ] \
    && [ "${flags[report]}" = false ]; then
    if [ ! -e "${shared}/.data" ]; then
        run --stage 1 --stop_stage 7
        python3 local/study_data.py --name study/decode --join "test_seen test_voices dev"
        # All English sentences, once each: what speech is to find.
        mkdir -p "${shared}/concepts"
        for dset in train dev test_seen test_held test_voices; do
            cut -d " " -f 2- "dump/raw/${dset}/text.tc.en"
        done | LC_ALL=C sort -u | awk '{ printf "concept%05d %s\n", NR, $0 }' \
            > "${shared}/concepts/text"
        teacher=$(sed -n 's/^teacher=\([^ ]*\).*/\1/p' run.sh)
        python3 -m espnet_samu.bin.teacher_embed --teacher "${teacher}" --prompt "query: " \
            --text "${shared}/concepts/text" --output_dir "${shared}/concepts"
        # By st.sh's name, which the arms look for.
        run --expdir exp --stage 10 --stop_stage 10
        touch "${shared}/.data"
    fi
fi
status=0
if [ "${flags[report]}" = false ]; then
    # In the background, so that a signal to this script ends the trainings, too.
    python3 -m study.run_arms --root "${root}" --runs "${runs}" "${opts[@]}" &
    pid=$!
    trap 'kill -TERM "${pid}" 2> /dev/null || true' INT TERM HUP
    wait "${pid}" || status=$?
    if kill -0 "${pid}" 2> /dev/null; then
        # A signal has interrupted the first wait; run_arms.py is about to end.
        wait "${pid}" || status=$?
    fi
    trap - INT TERM HUP
fi
if [ "${flags[dry_run]}" = true ] || [ "${flags[store]}" = true ] || [ "${status}" -gt 1 ] \
    || [ ! -d "${runs}" ]; then
    exit "${status}"
fi

notes=(
    --note "languages=translations in training: es Spanish, fr French, ru Russian; transcripts alone: be Belarusian, bg Bulgarian, ca Catalan, ro Romanian"
    --note "test sets=test_seen: descriptions that training has in other languages, in be bg ca ro; test_held (retrieval alone): descriptions of no training, all seven languages; test_voices: 62 telephone prompts by readers of no training"
    --note "readers=one a language, the same in training and tests, but for test_voices"
    --note "decoder=is fresh: it can write only words of the training's translations; so has every arm but Whisper and teacher (w), the ceiling and the floors, which choose a whole sentence of them"
    --note "settings=our own choice, for minutes on a CPU"
    --note "training=is short: of translation 400 updates in distilled, frozen (c), 1000 in no distillation (b), in the arms called longer 1000 and 1600. What is compared is minutes of training, not what longer ones would end with"
    --note "Whisper=was trained on transcribed speech of all seven languages, and on translations into English from some"
)
python3 -m study.study_report \
    --runs "${runs}" \
    --arms study/arms.yaml \
    --supervised es,fr,ru \
    --zero_shot be,bg,ca,ro \
    --out "${out}" \
    --title "What does distillation add to a pretrained encoder?" \
    --src dump/raw/test_seen/text.tc.multi \
    "${notes[@]}" \
    --command "runs=./run_study.sh --quick ${flags[quick]}"
exit "${status}"
