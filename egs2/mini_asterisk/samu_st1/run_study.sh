#!/usr/bin/env bash
# The study of study/README.md: does distillation move translation to unseen languages?
# Every finished run is a file study/runs/<arm>/seed<N>.json and is not run again, so
# that the study can be made in pieces: ./run_study.sh --hours 2
# Then tables and a page are made from all finished runs.
set -e
set -u
set -o pipefail

help_message=$(cat << EOT
Usage: $0 [--arms "b c_frozen"] [--seeds "1 2"] [--jobs 2] [--quick true]

Options:
    --arms          # Names of arms of study/arms.yaml (default: all, primary ones first).
    --seeds         # Seeds (default: those of study/arms.yaml).
    --jobs          # Runs side by side, one thread each (default: number of cores).
    --quick         # Few arms, one seed, half of the updates, in exp/study_quick (default="false").
    --encoder       # Another speech encoder in all arms, in exp/study_<name>: the name of a
                    # conf/tuning/train_samu_<name>.yaml, or a YAML file (default: conf/train_samu.yaml's).
    --ngpu          # GPUs of every training (default="0").
    --hours         # Start nothing after so many hours (default: no end).
    --retry_failed  # Run failed runs again (default="false").
    --dry_run       # Only say what would be run, and how long it takes (default="false").
    --local_data_opts  # Options of local/data.sh, for --quick or --encoder (default="").
    --store         # Store the settings that runs are compared with, and end (default="false").
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
only_says=false
quick=false
encoder=
local_data_opts=
opts=()
command=    # for the page: without options that change no figure
while [ $# -gt 0 ]; do
    case "$1" in
        --quick|--retry_failed|--dry_run|--store)
            case "${2:-}" in
                true|false) ;;
                *)
                    echo "Error: $1 must be true or false: '${2:-}'" >&2
                    exit 2 ;;
            esac ;;
    esac
    case "$1 ${2:-}" in
        "--dry_run true"|"--store true") only_says=true ;;
    esac
    case "$1" in
        --quick|--encoder|--local_data_opts) declare "${1#--}=${2:?value of $1 is missing}" ;;
        --hours|--jobs|--retry_failed)
            opts+=("$1" "${2:?value of $1 is missing}") ;;
        --arms|--seeds|--ngpu|--dry_run|--store)
            opts+=("$1" "${2:?value of $1 is missing}")
            command+=$(printf " %q %q" "$1" "$2") ;;
        *)
            echo "Error: invalid option $1 (see $0 --help)" >&2
            exit 2 ;;
    esac
    shift 2
done
root=exp/study
if [ "${quick}" = true ]; then
    root+=_quick
    command+=" --quick true"
fi
if [ -n "${encoder}" ]; then
    command+=" --encoder ${encoder}"
    [ -f "${encoder}" ] || encoder=conf/tuning/train_samu_${encoder}.yaml
    name=$(basename "${encoder}" .yaml)
    root+=_${name#train_samu_}
    opts+=(--encoder "${encoder}")
fi
[ -z "${local_data_opts}" ] || command+=$(printf " --local_data_opts %q" "${local_data_opts}")
runs=study/runs
out=study
if [ "${root}" != exp/study ]; then
    # A separate study, whose runs are not among the stored ones.
    runs=${root}/runs
    out=${root}
fi

if [ "${root}" = exp/study ] && [ -n "${local_data_opts}" ]; then
    echo "Error: all runs of the study have the same data: pass --local_data_opts only" \
        "with --quick true or --encoder" >&2
    exit 2
fi
if [ -d "${root}/arms" ] && [ "$(cat "${root}/.data_opts" 2> /dev/null)" != "${local_data_opts}" ]; then
    echo "Error: ${root} was made with --local_data_opts" \
        "'$(cat "${root}/.data_opts" 2> /dev/null)': pass" \
        "the same, or remove ${root}" >&2
    exit 2
fi

vocabulary=$(sed -n 's/^ *vocabulary: *//p' study/arms.yaml)
if [ "${only_says}" = false ]; then
    # Data and statistics, which all arms share.
    stats=exp/st_stats_raw_multi_en_bpe${vocabulary}/train/text_shape.bpe
    made=${local_data_opts}$'\n'$(cat data/.composed 2> /dev/null || true)
    if [ "$(cat exp/study/.data 2> /dev/null)" != "${made}" ]; then
        ./run.sh --baseline false --stage 1 --stop_stage 5 \
            --test_sets "test_prompts test_menardi test" --tgt_nbpe "${vocabulary}" \
            --local_data_opts "${local_data_opts}"
        python3 local/study_data.py --name study/decode \
            --join "test test_menardi test_prompts dev"
        rm -f "${stats}"
        mkdir -p exp/study
        printf '%s\n' "${local_data_opts}" "$(cat data/.composed)" > exp/study/.data
    fi
    # By st.sh's names, so that the files of ./run.sh are used.
    if [ ! -s "data/multi_en_token_list/tgt_bpe_unigram${vocabulary}/tokens.txt" ]; then
        ./run.sh --baseline false --stage 5 --stop_stage 5 --tgt_nbpe "${vocabulary}"
    fi
    if [ ! -s "${stats}" ]; then
        ./run.sh --baseline false --stage 10 --stop_stage 10 --tgt_nbpe "${vocabulary}"
    fi
    mkdir -p "${root}"
    printf '%s' "${local_data_opts}" > "${root}/.data_opts"
fi
# In the background, so that a signal to this script ends the trainings, too.
python3 -m study.run_arms --quick "${quick}" --root "${root}" --runs "${runs}" "${opts[@]}" &
pid=$!
trap 'kill -TERM "${pid}" 2> /dev/null || true' INT TERM HUP
status=0
wait "${pid}" || status=$?
if kill -0 "${pid}" 2> /dev/null; then
    # A signal has interrupted the first wait; run_arms.py is about to end.
    wait "${pid}" || status=$?
fi
trap - INT TERM HUP
if [ "${only_says}" = true ] || [ "${status}" -gt 1 ] || [ ! -d "${runs}" ]; then
    exit "${status}"
fi

# Embeddings before and after distillation, of the first student of arm c.
embeddings=()
embed=${out}/embeddings
student=
for done in "${root}"/students/all/seed*.done; do
    if [ -e "${done}" ]; then
        student=${done%.done}
        break
    fi
done
if [ ! -s "${embed}/after/embed.scp" ] && [ -n "${student}" ]; then
    embedding=(python3 -m study.embed_students --out "${embed}"
        --student "${student}/student" --train_config "${student}/train.yaml")
    mkdir -p "${embed}"
    echo "${embedding[*]}" > "${embed}/command"
    "${embedding[@]}"
fi
for name in before after; do
    if [ -s "${embed}/${name}/embed.scp" ]; then
        embeddings+=(--embeddings "${name} distillation=${embed}/${name}/embed.scp"
            --command "${name} distillation=$(cat "${embed}/command")")
    fi
done

credit="Adapted from telephone prompts of Asterisk: Italian recorded by Carlo Flora"
credit+=" (www.carloflora.com, www.segreterietelefoniche.it), translated by Silvia Petrin;"
credit+=" Russian provided by Maxim Topal, IvrvoiceRU (www.ivrvoice.ru); both CC BY 3.0;"
credit+=" changes and further credits: DATA_LICENSE.md"
teacher="has read the English of every transcribed sentence, of it and ru, too;"
teacher+=" no control has"
languages="es Spanish, fr French, it Italian, ru Russian"
tests="test: 140 contents, new combinations of recorded units; test_menardi: the same by a"
tests+=" second Italian speaker, who is in no training; test_prompts: 62 whole prompts, most"
tests+=" of whose words are in no training"
notes=(--note "languages=${languages}" --note "test sets=${tests}" --note "teacher=${teacher}")
# What study/README.md says of the runs that are stored. Seeds 1 and 2 were scored in part
# before the plan.
seen_seeds=
if [ "${root}" = exp/study ]; then
    seen_seeds=1,2
    notes+=(
        --note "CTC instead, frozen (j)=has the settings of distilled, frozen (c); none was searched for it"
        --note "encoder trained (c, j)=have hardly learned es and fr, so that they cannot say whether freezing ruins CTC instead (j)"
        --note "H3=loss kept on (k) differs from distilled, frozen (c) in more than the loss: its encoder is trained, on another batch of speech in every update. Its difference to loss switched off (k) is the effect of the loss alone"
    )
fi
python3 -m study.study_report \
    --runs "${runs}" \
    --arms study/arms.yaml \
    --seen_seeds "${seen_seeds}" \
    --out "${out}" \
    --title "Does distillation move translation to unseen languages?" \
    --floor data/template_floor/text \
    --slots data/slots.txt \
    --audio data/test/wav.scp \
    --credit "${credit}" \
    --src data/test/text.tc.multi \
    "${notes[@]}" \
    "${embeddings[@]}" \
    --command "runs=./run_study.sh${command}"
exit "${status}"
