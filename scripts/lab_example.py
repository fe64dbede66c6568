#!/usr/bin/env python3
"""Makes examples/steel-lab42/measurements.csv: invented measurements of an invented lab.

Nothing here was measured. Compositions are drawn at random within the ranges of low-alloy steels; strengths
follow a formula of our own with heat-to-heat and test-to-test scatter. The file shows what a lab's table may
look like (categories among the process columns, several tests of one heat), and the tests train on it.
"""

import csv
import random

ELEMENTS = {"C": (0.12, 0.48), "Si": (0.15, 0.40), "Mn": (0.4, 1.4), "Cr": (0.0, 1.6), "Mo": (0.0, 0.5), "Ni": (0.0, 1.8)}
MELTING = {"EAF": 0.0, "ESR": 15.0, "VIM": 25.0}
HOT_WORKING = {"rolled": 0.0, "forged": 12.0}
TREATMENT = {"normalized": -220.0, "quenched_tempered": 0.0}


def main():
    rng = random.Random(42)
    with open("examples/steel-lab42/measurements.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["heat", *ELEMENTS, "melting", "hot_working", "treatment", "tempering_C", "YS_MPa", "UTS_MPa", "A_percent"]
        )
        for heat in range(1, 31):
            amounts = {element: round(rng.uniform(*span), 3 if element == "C" else 2) for element, span in ELEMENTS.items()}
            melting, working = rng.choice(list(MELTING)), rng.choice(list(HOT_WORKING))
            luck = rng.gauss(0, 12)
            for treatment in rng.sample(["normalized", "quenched_tempered", "quenched_tempered"], 3):
                tempering = rng.choice([500, 550, 600, 650])
                strength = 620 + 780 * amounts["C"] + 60 * amounts["Mn"] + 70 * amounts["Cr"] + 160 * amounts["Mo"]
                strength += 35 * amounts["Ni"] + MELTING[melting] + HOT_WORKING[working] + TREATMENT[treatment]
                strength -= 0.9 * (tempering - 550) if treatment == "quenched_tempered" else 0.0
                strength += luck + rng.gauss(0, 8)
                ratio = 0.88 if treatment == "quenched_tempered" else 0.64
                elongation = 38 - 0.018 * strength + MELTING[melting] / 20 + rng.gauss(0, 0.6)
                table.writerow(
                    [f"L{heat:03}", *amounts.values(), melting, working, treatment, tempering]
                    + [round(strength * ratio + rng.gauss(0, 8)), round(strength), round(elongation, 1)]
                )


if __name__ == "__main__":
    main()
