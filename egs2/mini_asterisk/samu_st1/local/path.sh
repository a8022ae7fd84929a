#!/usr/bin/env bash
# Sourced last by path.sh.

# path.sh has set 1, for many jobs side by side; here one job trains on all cores,
# unless run.sh says otherwise.
OMP_NUM_THREADS=${threads:-$(nproc)}
export OMP_NUM_THREADS
# Waiting threads sleep: spinning ones made an update 10 times slower as soon as
# another process wanted one of two cores.
export OMP_WAIT_POLICY=passive
# Keep freed memory: page faults took up to half of the time of small CPU batches.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000
# Every model is made here: no look-ups on a hub, unless they are asked for.
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
