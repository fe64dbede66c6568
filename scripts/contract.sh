#!/usr/bin/env bash
# Holds a running server against its own OpenAPI document, with a client that nobody here wrote: schemathesis, with all checks
# and its stateful phase, administration included. `--max-examples N` makes it shorter or longer (100).
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.32.5
examples=100
[ "${1:-}" = --max-examples ] && examples=$2

tools=${XDG_CACHE_HOME:-$HOME/.cache}/mcvn/schemathesis-$version
if [ ! -x "$tools/bin/schemathesis" ]; then
    python3 -m venv "$tools" && "$tools/bin/pip" install -q "schemathesis==$version"
fi
cargo build --release --locked

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cp -r models "$folder/models"
key=$(target/release/mcvn admin-key create --keys-file "$folder/keys.toml" --name contract --scopes read,train,promote 2>/dev/null | tail -n 1)
mkdir "$folder/data"
"$tools/bin/python" scripts/contract/hooks.py rows >"$folder/data/heats.csv"
MCVN_LISTEN=127.0.0.1:0 MCVN_DATA_DIR="$folder/data" MCVN_MODELS_DIR="$folder/models" MCVN_ADMIN_KEYS_FILE="$folder/keys.toml" MCVN_STATE_DIR="$folder/state" \
    target/release/mcvn 2>"$folder/log" &
server=$!
url=
for _ in $(seq 100); do
    url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$folder/log")
    [ -n "$url" ] && curl -sf "$url/readyz" >/dev/null && break
    kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
"$tools/bin/python" scripts/contract/hooks.py |
    curl -sf "$url/admin/models" -H "authorization: Bearer $key" -H 'content-type: application/json' -d @- >/dev/null
SCHEMATHESIS_HOOKS=scripts/contract/hooks.py "$tools/bin/schemathesis" --config-file scripts/contract/schemathesis.toml \
    run "$url/openapi.yaml" -H "Authorization: Bearer $key" --checks all --max-examples "$examples" --continue-on-failure \
    --no-color
# Whatever was asked, the server answers still.
curl -sf "$url/readyz" >/dev/null
