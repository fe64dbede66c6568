#!/usr/bin/env python3
"""Compares the benchmarks of this checkout with those of another one, in turns, so that a machine whose speed drifts is
the same for both.

    git worktree add ../before COMMIT
    scripts/before_after.py ../before serve bulk micro overload --rounds 3     # needs wrk

Builds both, runs each benchmark once a round on either side (the order changes from round to round) and prints, for
each figure, the median of both and the median of the rounds' ratios with its range. Leave the machine alone meanwhile.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tomllib

from performance import micro_table

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Criterion's own times are for single runs: here rounds repeat them.
SHORTER = {"micro": ["--warm-up-time", "0.5", "--measurement-time", "1"]}
UNITS = {"ns": 1e-3, "µs": 1.0, "ms": 1e3, "s": 1e6, "K": 1e3, "M": 1e6}


def build(checkout, bench):
    command = ["cargo", "bench", "--locked", "--bench", bench, "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = [message for message in map(json.loads, lines) if message.get("executable")]
    return next(message["executable"] for message in found if message["target"]["name"] == bench)


def run(checkout, bench, program):
    command = [program, "--bench", *SHORTER.get(bench, [])]
    asked = {"cwd": checkout, "env": {**os.environ, **cargo_env(checkout)}, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run(command, text=True, **asked)
    # 1 and 101: a goal was missed, which the table tells.
    if done.returncode not in (0, 1, 101) or not done.stdout.strip():
        sys.exit(f"{bench} in {checkout} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found = figures(micro_table(done.stdout) if bench == "micro" else done.stdout)
    return found or sys.exit(f"{bench} in {checkout} gave no figures:\n{done.stderr[-2000:]}")


def cargo_env(checkout):
    """What `cargo bench` would set: candle is several times slower without."""
    return tomllib.loads((checkout / ".cargo" / "config.toml").read_text()).get("env", {})


def figures(text):
    """The numbers of all tables, by row, column and place in the cell."""
    found, columns = {}, None
    for line in text.splitlines():
        if not line.startswith("|"):
            columns = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if columns is None:
            columns = cells
        elif not set(line) <= set("|-: "):
            named = [0] + [at for at, column in enumerate(columns) if column == "route"]
            name = " ".join(cells[at] for at in named)
            for at, cell in enumerate(cells):
                # The batch that was fastest names its row, it measures nothing.
                if at not in named and columns[at] != "at batch":
                    for place, number in enumerate(numbers(cell)):
                        found[(name, columns[at], place)] = number
    return found


def numbers(cell):
    pieces = re.findall(r"(\d+(?:\.\d+)?)(?:\s*(ns|µs|ms|s|K|M)\b(?!/))?", cell)
    return [float(number) * UNITS.get(unit, 1.0) for number, unit in pieces]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("benches", nargs="*", default=["serve", "bulk"])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    sides = {"before": asked.before.resolve(), "after": ROOT}
    for bench in asked.benches:
        programs = {side: build(checkout, bench) for side, checkout in sides.items()}
        rounds = []
        for number in range(asked.rounds):
            order = ["before", "after"] if number % 2 == 0 else ["after", "before"]
            rounds.append({side: run(sides[side], bench, programs[side]) for side in order})
        print(f"\n{bench}, {asked.rounds} rounds in turns\n\n| what | before | after | after / before | range |\n|---|---|---|---|---|")
        common = [key for key in rounds[0]["before"] if all(key in side for each in rounds for side in each.values())]
        for key in common:
            pairs = [(each["before"][key], each["after"][key]) for each in rounds]
            ratios = [after / before for before, after in pairs if before]
            if ratios:
                before, after = (statistics.median(side) for side in zip(*pairs))
                name = ", ".join(filter(None, [key[0], key[1]])) + (f" ({key[2] + 1})" if key[2] else "")
                spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
                print(f"| {name} | {before:.4g} | {after:.4g} | {statistics.median(ratios):.3f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
