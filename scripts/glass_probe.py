#!/usr/bin/env python3
"""Asks a glass model about alloys that are in none of its files, and counts what it calls a bulk glass.

    python3 scripts/glass_probe.py [--mcvn target/release/mcvn] [--models-dir models] [--model glass] [--seed 5]

Sets: well-known high-entropy alloys and stainless steels, superalloys and light alloys typed as atomic parts (cast
crystalline); 1,000 seeded random mixes of two to six of twelve engineering metals (hardly any can be a bulk glass);
FINEMET and other melt-spun iron and cobalt ribbons; and well-known bulk glasses, of which most are among the training
rows. "in domain" counts the alloys that the model calls BMG and, at the same time, in domain; "warned" those BMG of four
and more elements whose answer has a warning. Prints a Markdown table.
"""

import argparse
import csv
import random
import subprocess
import tempfile
from pathlib import Path

METALS = "Al Co Cr Cu Fe Mn Mo Nb Ni Ti V Zr".split()

SETS = {
    "high-entropy alloys": """CoCrFeMnNi AlCoCrFeNi Al0.3CoCrFeNi Al0.5CoCrCuFeNi CoCrFeNi CoCrNi FeMnNi NbMoTaW VNbMoTaW
        HfNbTaTiZr TiZrNbTa TiVNbHf AlCrFeNi CoCrFeNiMo0.3 CoCrFeNiTi0.5 AlCoCrFeNi2.1 CrMnFeNi Fe50Mn30Co10Cr10
        Fe40Mn40Co10Cr10 Fe40.4Ni11.3Mn34.8Al7.5Cr6 Al20Li20Mg10Sc20Ti30 GdHoTbY DyGdHoTbY CrMoNbTaW NbTiVZr CrNbTiZr
        AlNbTiV AlMo0.5NbTa0.5TiZr CoCrCuFeNi CuNiAlFe CoFeNiV FeCoNiAlSi0.2 Mo25Nb25Ta25W25 Ti35Zr27.5Hf27.5Nb5Ta5
        MoNbTiVZr AlCrMnFeNi Al10Co25Cr8Fe15Ni36Ti6""",
    "steels, superalloys, light alloys (at%)": """Fe70Cr19Ni9Mn2 Fe68Cr18Ni12Mo2 Fe72Cr17Ni7Mn4 Fe65Cr25Ni7Mo3
        Fe63Cr18Mn12Ni7 Fe71Cr18Ni8Mn2Si1 Ni60Cr20Fe15Mo5 Ni53Cr19Fe19Nb3Mo2Ti1Al1 Ni58Cr20Co14Ti4Al3Mo3 Cu55Ni25Zn18Mn2
        Ti90Al6V3Fe1 Al90Zn6Mg3Cu1 Al94Cu4Mg1Mn1 Fe88Cr5Mo5V2 Co60Cr30Mo6Ni4 Mg90Al9Zn0.7Mn0.3 Ti86Al10V3Mo1
        Cu80Al10Fe5Ni5""",
    "melt-spun Fe and Co ribbons": """Fe73.5Cu1Nb3Si13.5B9 Fe73.5Cu1Nb3Si15.5B7 Fe81B13.5Si3.5C2 Fe86Zr7B6Cu1
        Fe83.3Si4B8P4Cu0.7 Fe85Si2B8P4Cu1 Fe44Co44Zr7B4Cu1 Fe40Ni38Mo4B18 Fe40Ni40P14B6 Co66Fe4Ni1B14Si15
        Co69Fe4Ni1Mo2B12Si12 Fe82B12Si4C2 Fe76Si13B8Cu1Nb2 Fe72.5Cu1Nb2Mo2Si13.5B9 Fe67Co18B14Si1 Fe80.5Cu1.5Si4B14""",
    "bulk glasses": """Zr41.2Ti13.8Cu12.5Ni10Be22.5 Zr55Cu30Al10Ni5 Zr57Cu15.4Ni12.6Al10Nb5 Pd40Cu30Ni10P20 Zr65Al7.5Ni10Cu17.5
        Fe41Co7Cr15Mo14C15B6Y2 Fe48Cr15Mo14Er2C15B6 Pd43Ni10Cu27P20 Ti40Zr10Cu36Pd14 Cu47Ti34Zr11Ni8
        Pt57.5Cu14.7Ni5.3P22.5 Au49Ag5.5Pd2.3Cu26.9Si16.3 Co43Fe20Ta5.5B31.5 Fe72B20Nb4Si4""",
}


def random_mixes(count: int, seed: int) -> list[tuple[int, str]]:
    """Formulas of random mixes with their numbers of elements; the amounts are uniform on the simplex."""
    draw = random.Random(seed)
    mixes = []
    for _ in range(count):
        metals = draw.sample(METALS, draw.randint(2, 6))
        parts = [draw.expovariate(1.0) for _ in metals]
        amounts = [max(100.0 * part / sum(parts), 0.01) for part in parts]
        mixes.append((len(metals), "".join(f"{metal}{amount:.2f}" for metal, amount in zip(metals, amounts))))
    return mixes


def probe(seed: int) -> list[tuple[str, str]]:
    """All formulas with the names of their sets."""
    known = [(name, formula) for name, formulas in SETS.items() for formula in formulas.split()]
    mixes = [(f"random mixes of {'2-3' if count < 4 else '4-6'} metals", text) for count, text in random_mixes(1000, seed)]
    return known + sorted(mixes, key=lambda entry: entry[0])


def main() -> None:
    """Asks and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mcvn", type=Path, default=Path("target/release/mcvn"))
    parser.add_argument("--models-dir", default="models")
    parser.add_argument("--model", default="glass")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    asked = probe(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        table, answers = Path(folder) / "probe.csv", Path(folder) / "answers.csv"
        with open(table, "w", newline="") as file:
            csv.writer(file).writerows([("set", "formula"), *asked])
        command = [arguments.mcvn.resolve(), "predict", "--models-dir", arguments.models_dir, "--model", arguments.model]
        subprocess.run([*command, "--input", table, "--output", answers], check=True, stderr=subprocess.DEVNULL)
        with open(answers, newline="") as file:
            rows = list(csv.DictReader(file))
    print("| alloys | number | called BMG | BMG in domain | in domain | warned |\n|---|---|---|---|---|---|")
    for name in dict.fromkeys(name for name, _ in asked):
        own = [row for row in rows if row["set"] == name]
        bulk = [row for row in own if row["class"] == "BMG"]
        inside = [row for row in own if row["in_domain"] == "true"]
        both = [row for row in bulk if row["in_domain"] == "true"]
        warned = [row for row in bulk if row["warnings"]]
        print(f"| {name} | {len(own)} | {len(bulk)} | {len(both)} | {len(inside)} | {len(warned)} |")


if __name__ == "__main__":
    main()
