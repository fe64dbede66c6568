#!/usr/bin/env bash
# Times XenonPy's descriptors on one core and prints a JSON line. The first run installs its packages into out/peer.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=out/peer/xenonpy
if ! cmp -s benches/peer/requirements-xenonpy.txt "$venv/installed.txt"; then
    python3 -m venv --clear "$venv" >&2
    "$venv/bin/pip" install --quiet -r benches/peer/requirements-xenonpy.txt >&2
    cp benches/peer/requirements-xenonpy.txt "$venv/installed.txt"
fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
exec "$venv/bin/python" -W ignore benches/peer/xenonpy_time.py
