#!/usr/bin/env python3
"""Expected descriptors of a few alloys, for tests/featurize_gold.rs: an independent program.

Computes the paper's Table 1 straight from src/featurize/elements.csv in 50-digit decimal arithmetic
(Python's decimal module), with the conventions for zeros and negative values stated in
src/featurize/statistics.rs.

    python3 scripts/gold_descriptors.py > tests/data/gold_descriptors.csv
"""
import csv
import sys
from decimal import Decimal, getcontext
from pathlib import Path

getcontext().prec = 50
root = Path(__file__).resolve().parent.parent
table = {row["element"]: row for row in csv.DictReader(open(root / "src/featurize/elements.csv"))}
properties = [name for name in next(iter(table.values())) if name != "element"]

ALLOYS = {
    "Zr41.2Ti13.8Cu12.5Ni10Be22.5": dict(Zr="41.2", Ti="13.8", Cu="12.5", Ni="10", Be="22.5"),
    "CoCrFeMnNi": dict(Co="1", Cr="1", Fe="1", Mn="1", Ni="1"),
    "Fe80B20": dict(Fe="80", B="20"),
    "Al2O3": dict(Al="2", O="3"),
    "Au3He": dict(Au="3", He="1"),
}


def statistics(amounts, values):
    total = sum(amounts)
    weights = [amount / total for amount in amounts]
    average = sum(w * f for w, f in zip(weights, values))
    variance = sum(w * (f - average) ** 2 for w, f in zip(weights, values))
    geometric = harmonic = Decimal(0)
    if all(f > 0 for f in values) or all(f < 0 for f in values):
        sign = 1 if values[0] > 0 else -1
        geometric = sign * sum(w * abs(f).ln() for w, f in zip(weights, values)).exp()
        harmonic = 1 / sum(w / f for w, f in zip(weights, values))
    total_sum = sum(a * f for a, f in zip(amounts, values))
    return [average, total_sum, variance, geometric, harmonic, max(values), min(values)]


writer = csv.writer(sys.stdout, lineterminator="\n")
names = ["ave", "sum", "var", "gmean", "hmean", "max", "min"]
writer.writerow(["formula"] + [f"{stat}:{name}" for stat in names for name in properties])
for formula, parts in ALLOYS.items():
    amounts = [Decimal(amount) for amount in parts.values()]
    rows = [statistics(amounts, [Decimal(table[symbol][name]) for symbol in parts]) for name in properties]
    writer.writerow([formula] + [f"{rows[p][s]:.15E}" for s in range(7) for p in range(len(properties))])
