#!/usr/bin/env bash
# The mini recipe on a Slurm node that is started on this machine, as plain processes in
# a folder of its own: all stages with few updates; a job is cancelled, and the run goes on.
set -e
set -u
set -o pipefail

# shellcheck source=test/egs2/smoke_lib.sh
. "$(dirname "$0")"/../smoke_lib.sh
for program in munged slurmctld slurmd sbatch; do
    if ! PATH=${PATH}:/usr/sbin type -P "${program}" > /dev/null; then
        echo "${program} is missing; run: sudo apt-get install slurm-wlm munge" >&2
        exit 2
    fi
done

# start_node DIR: partitions cpu and gpu, as in conf/slurm.conf of the recipes.
start_node() {
    local dir=$1 host ports
    PATH=${PATH}:/usr/sbin
    host=$(hostname -s)
    mapfile -t ports < <(shuf -i 20000-29999 -n 2)
    mkdir -p "${dir}"/{state,spool,munge}
    chmod 700 "${dir}/munge"
    head -c 1024 /dev/urandom > "${dir}/munge/key"
    chmod 400 "${dir}/munge/key"
    cat > "${dir}/slurm.conf" << EOF
ClusterName=smoke
SlurmctldHost=${host}(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=${dir}/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmdPidFile=${dir}/slurmd.pid
StateSaveLocation=${dir}/state
SlurmdSpoolDir=${dir}/spool
SlurmctldLogFile=${dir}/slurmctld.log
SlurmdLogFile=${dir}/slurmd.log
NodeName=${host} NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=cpu Nodes=${host} Default=YES State=UP
PartitionName=gpu Nodes=${host} State=UP
EOF
    export SLURM_CONF=${dir}/slurm.conf
    munged --force --key-file="${dir}/munge/key" --socket="${dir}/munge/socket" \
        --pid-file="${dir}/munge/pid" --log-file="${dir}/munge/log" \
        --seed-file="${dir}/munge/seed" 2> "${dir}/munge.err"
    slurmctld
    slurmd
    timeout 60 srun -p cpu true
    sinfo
}

# stop_node DIR: stop its processes, and wait until they have ended.
stop_node() {
    local file pid
    for file in "$1"/slurmd.pid "$1"/slurmctld.pid "$1"/munge/pid; do
        [ -s "${file}" ] || continue
        pid=$(cat "${file}")
        kill "${pid}" || continue
        timeout 30 tail --pid="${pid}" -f /dev/null
    done
}

copy_recipe mini_asterisk
trap 'scancel --user "$(id -un)" || true; stop_node "${work}/node"; rm -rf "${work}"' EXIT
start_node "${work}/node"

sed -i "s/^cmd_backend=.*/cmd_backend='slurm'/" cmd.sh
find conf -name "train_*.yaml" -exec sed -i \
    -e "s/^max_epoch: .*/max_epoch: 2/" \
    -e "s/^num_iters_per_epoch: .*/num_iters_per_epoch: 3/" \
    -e "s/^batch_bins: .*/batch_bins: 400000/" {} +

run() {
    echo "smoke: ./run.sh $*"
    ./run.sh --baseline false \
        --local_data_opts "--train_per_lang 40 --dev_per_lang 6 --test_per_lang 6 --bitext_contents 200" \
        --teacher_args "--updates 20" \
        --tgt_nbpe 60 "$@" > "${work}/log" 2>&1
}

run --stop_stage 7 || fail "./run.sh failed"
# Cancel the training while it runs; its job is named after its log.
(
    job=
    while [ -z "${job}" ]; do
        sleep 0.2
        job=$(squeue --noheader --states running --format "%i %j" | grep train.log | cut -d " " -f 1) || true
    done
    sleep 2
    scancel "${job}"
) &
status=0
run --stage 8 || status=$?
wait
[ "${status}" = 1 ] || fail "a cancelled job ended the run with status ${status}"
tail -n 1 "${work}/log" | grep -q "Error: a job was cancelled: see exp/samu_.*/q/train.log" \
    || fail "the run does not say that a job was cancelled"
run --stage 8 || fail "./run.sh did not go on"
st_exp=exp/st_train_st_raw_multi_en
expect "${st_exp}/RESULTS.md" "${st_exp}/decode_st_valid.acc.best/test/score_st/results.json"
for log in exp/teacher_small/q/teacher_train.log exp/samu_train_samu_raw/q/train.log \
    "${st_exp}/q/train.log"; do
    expect_line "${log}" "Submitted batch job"
done
echo "smoke: passed on Slurm"
