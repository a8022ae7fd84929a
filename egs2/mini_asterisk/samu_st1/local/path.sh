#!/usr/bin/env bash
# Sourced last by path.sh.

# path.sh has set one thread, for many jobs side by side; here one job trains on all
# cores, unless run.sh sets ${threads}.
OMP_NUM_THREADS=${threads:-$(env -u OMP_NUM_THREADS nproc)}
export OMP_NUM_THREADS
# Waiting threads sleep: with spinning ones an update took 10 times as long as soon as
# another process used one of two cores.
export OMP_WAIT_POLICY=passive
# Keep freed memory: page faults took up to half of the time of small CPU batches.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000
# All models are trained here: no requests to the hub, unless the user allows them.
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
