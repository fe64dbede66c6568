#!/usr/bin/env bash
# Builds a stripped program for CUDA that starts anywhere: with a GPU, with a driver alone, with neither.
# usage: scripts/cuda/build.sh OUT      (writes OUT/mcvn; the compiler and all build outputs stay in OUT/build)
# Needs cargo, python3 with pip, gcc and ar; no CUDA toolkit, no GPU.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '3,4p' "$0" >&2; exit 2; }
out=$(realpath -m "$1") here=$(dirname "$(realpath "$0")")
cd "$here/../.."
bash "$here/setup_cuda.sh" "$out/build/toolkit" .
# shellcheck disable=SC1091 # made by the line above
. "$out/build/toolkit/env.sh"
cargo build --locked --release --features cuda --target-dir "$out/build/target"
strip -o "$out/mcvn" "$out/build/target/release/mcvn"
"$out/mcvn" --version
ls -l "$out/mcvn"
