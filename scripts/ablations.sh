#!/usr/bin/env bash
# What each part of the networks is worth: `mcvn evaluate --ablation` for all models and protocols.
#
#   scripts/ablations.sh DATA [STEELS [GLASSES]]     splits of each protocol, of the steels and the glasses (3 by default)
#
# Scores go to out/<model>.<protocol>.ablation.json; scripts/accuracy_tables.py makes tables of them. Ten splits of the steels
# and three of the glasses take some five hours of one core.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 steels=${2:-3} glasses=${3:-3}
cargo build --release
mkdir -p out
for set in "steel-fatigue nims_steel $steels" "steel-tensile low_alloy_steel $steels" "glass glass $glasses"; do
    read -r name file splits <<< "$set"
    for protocol in random grouped; do
        target/release/mcvn evaluate --ablation --recipe "models/$name/recipe.toml" --data "$data/$file.csv" \
            --splits-file "$data/splits/$file.$protocol.csv" --protocol $protocol --splits "$splits" \
            --json "out/$name.$protocol.ablation.json"
    done
done
