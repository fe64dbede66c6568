#!/usr/bin/env bash
# Starts the program as the README does, on a free port; asks one question; stops it politely.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release
log=$(mktemp)
trap 'rm -f "$log"' EXIT
MCVN_LISTEN=127.0.0.1:0 target/release/mcvn 2>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT
url=
for _ in $(seq 100); do
    url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$log")
    [ -n "$url" ] && curl -sf "$url/readyz" >/dev/null && break
    kill -0 "$server" || { cat "$log" >&2; exit 1; }
    sleep 0.1
done
curl -sf "$url/classify/glass" -H 'content-type: application/json' \
    -d '{"composition": "Zr41.2Ti13.8Cu12.5Ni10Be22.5"}' | grep '"class":"BMG"'
kill -TERM "$server"
wait "$server"
echo "served, answered, stopped"
