#!/usr/bin/env bash
# What each part of the networks is worth: `mcvn evaluate --ablation` for all models and protocols.
#
#   scripts/ablations.sh DATA [SPLITS]     SPLITS: of each protocol (3 by default)
#
# Scores go to out/<model>.<protocol>.ablation.json; scripts/accuracy_tables.py makes tables of them.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1
splits=${2:-3}
cargo build --release
mkdir -p out
for pair in steel-fatigue:nims_steel steel-tensile:low_alloy_steel glass:glass; do
    name=${pair%%:*} file=${pair##*:}
    for protocol in random grouped; do
        target/release/mcvn evaluate --ablation --recipe "models/$name/recipe.toml" --data "$data/$file.csv" \
            --splits-file "$data/splits/$file.$protocol.csv" --protocol $protocol --splits "$splits" \
            --json "out/$name.$protocol.ablation.json"
    done
done
