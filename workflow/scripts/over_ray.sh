#!/usr/bin/env bash
# Start Ray on every node of a Slurm step, run a command on the first, and end Ray with it. srun starts this once a node:
#   srun --nodes=2 --ntasks-per-node=1 bash over_ray.sh CPUS GPUS COMMAND …       (CPUs and GPUs of each node)
# RAY_AUTH_MODE=token and a RAY_AUTH_TOKEN keep other users of the cluster out of it. The nodes must be the job's
# alone (sbatch --exclusive): Ray refuses a node where another Ray runs.
set -euo pipefail
cpus=$1 gpus=$2
shift 2

nodes=$(scontrol show hostnames "$SLURM_STEP_NODELIST")
export RAY_ADDRESS="${nodes%%$'\n'*}:6379"
# Importing Ray from a busy file system takes longer than the 30 seconds that nodes are given to find each other.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=${RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT:-300}

# scancel: Ray's daemons are not children of this step, and stay if Slurm tracks processes by their parents.
trap 'ray stop --force; exit 143' TERM
ray symmetric-run --address "$RAY_ADDRESS" --min-nodes "$SLURM_STEP_NUM_NODES" --num-cpus "$cpus" --num-gpus "$gpus" \
    --object-store-memory 100000000 --disable-usage-stats -- "$@" &
wait $!
