#!/usr/bin/env bash
# Sourced last by path.sh: settings of your machine go here, such as
#   export HF_HUB_OFFLINE=1             # models are in the hub's cache already
#   export CUDA_VISIBLE_DEVICES=0

# path.sh has set one thread; here a job trains on all cores, unless ${threads} says else.
OMP_NUM_THREADS=${threads:-$(env -u OMP_NUM_THREADS nproc)}
export OMP_NUM_THREADS
# Waiting threads sleep, where another process uses a core.
export OMP_WAIT_POLICY=passive
# Keep freed memory: page faults took up to half of the time of small CPU batches.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000
