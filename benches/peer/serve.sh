#!/usr/bin/env bash
# Starts the peer on 127.0.0.1: serve.sh PORT [WORKERS]. The first start installs its packages into out/peer.
# PEER_NETWORK=plain leaves the network as PyTorch modules; else it is traced and frozen.
set -euo pipefail
cd "$(dirname "$0")/../.."
port=${1:?usage: serve.sh PORT [WORKERS]}
workers=${2:-2}

venv=out/peer/server
if ! cmp -s benches/peer/requirements.txt "$venv/installed.txt"; then
    python3 -m venv --clear "$venv" >&2
    "$venv/bin/pip" install --quiet -r benches/peer/requirements.txt >&2
    cp benches/peer/requirements.txt "$venv/installed.txt"
fi
exec "$venv/bin/uvicorn" --app-dir benches/peer server:app --host 127.0.0.1 --port "$port" --workers "$workers" \
    --no-access-log --log-level warning
