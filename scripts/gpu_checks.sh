#!/usr/bin/env bash
# Everything that needs a GPU, in at most eight minutes, with the binary, the models and python3 alone; no network.
# usage: scripts/gpu_checks.sh BINARY OUT [DEVICE]      (DEVICE: cuda:0; cpu rehearses)
# Writes OUT/gpu-checks.md, which goes into docs/gpu.md as it is. Exit status 1 where a check failed.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,4p' "$0" >&2; exit 2; }
exec python3 "$(dirname "$0")/gpu_checks.py" "$@"
