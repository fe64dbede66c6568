#!/usr/bin/env bash
# Measures the shipped recipes over the public splits, trains on all rows, and installs the bundles.
#
#   scripts/ship_models.sh DATA [MODEL ...]      DATA: folder with nims_steel.csv, low_alloy_steel.csv,
#                                                glass.csv, cast_crystalline.csv and splits/; default: all
#                                                three models. What a recipe names as evidence lies beside its data.
#
# Scores go to out/<model>.<protocol>.json, bundles to models/<model>/<version>, which becomes active. About an
# hour for all three on two cores. Remove an older version's folder by hand when it is not to be kept.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1
shift
cargo build --release
mkdir -p out
models=("$@")
[ ${#models[@]} -gt 0 ] || models=(steel-fatigue steel-tensile glass)
for name in "${models[@]}"; do
    case $name in
    steel-fatigue) file=nims_steel splits=10 ;;
    steel-tensile) file=low_alloy_steel splits=10 ;;
    glass) file=glass splits=10 ;;
    *) echo "unknown model $name" >&2 && exit 2 ;;
    esac
    evaluations=()
    for protocol in random grouped; do
        target/release/mcvn evaluate --recipe "models/$name/recipe.toml" --data "$data/$file.csv" \
            --splits-file "$data/splits/$file.$protocol.csv" --protocol $protocol --splits $splits \
            --json "out/$name.$protocol.json"
        evaluations+=(--evaluation "out/$name.$protocol.json")
    done
    target/release/mcvn train --recipe "models/$name/recipe.toml" --data "$data/$file.csv" --seed 7 \
        --created "$(date -u +%FT%TZ)" "${evaluations[@]}" --install models
done
