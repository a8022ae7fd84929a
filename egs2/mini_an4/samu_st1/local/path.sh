#!/usr/bin/env bash
# Sourced last by path.sh: settings of your machine go here, such as
#   export HF_HUB_OFFLINE=1             # models are in the hub's cache already
#   export CUDA_VISIBLE_DEVICES=0
