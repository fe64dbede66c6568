"""Arguments, order, and the table."""

import argparse
import os
import sys
import time
import traceback

from .seen import ITEMS, Seen
from .server import Program, prepare
from . import strangers, fairness, audit, keys, uploads, bundles, leftovers, refusals, events, logs, bodies  # noqa: F401


def arguments():
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    parser = argparse.ArgumentParser(description="Tries each item of issue 21 on running servers and prints a table.")
    parser.add_argument("--before", help="an older binary, for a column of its own")
    parser.add_argument("--after", required=True, help="the binary that must hold")
    parser.add_argument("--models", default=os.path.join(root, "models"), help="models of --after")
    parser.add_argument("--before-models", help="models of --before [default: those of --after]")
    parser.add_argument("--only", help="items, such as 1,3,13")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    return parser.parse_args()


def try_item(number, program, quick):
    title, function = ITEMS[number]
    seen, begin = Seen(), time.monotonic()
    try:
        function(program, quick, seen)
    except Exception as error:  # An item that breaks off says nothing of the next.
        traceback.print_exc()
        seen.note(f"broke off: {type(error).__name__}: {error}"[:200], False)
    mark = "holds" if seen.holds else "FAILS"
    print(f"{number:>2} {mark} {time.monotonic() - begin:5.1f} s  {os.path.basename(program.path)}: {seen.text()}", file=sys.stderr, flush=True)
    return seen


def cell(seen):
    return ("✓ " if seen.holds else "✗ ") + seen.text().replace("|", "\\|").replace("\n", " ")


def main():
    options = arguments()
    prepare()
    tried = [Program(os.path.abspath(options.after), os.path.abspath(options.models))]
    if options.before:
        tried.insert(0, Program(os.path.abspath(options.before), os.path.abspath(options.before_models or options.models)))
    numbers = sorted(map(int, options.only.split(","))) if options.only else sorted(ITEMS)
    rows, failed = [], []
    for number in numbers:
        seen = [try_item(number, program, options.quick) for program in tried]
        rows.append(f"| {number}. {ITEMS[number][0]} | " + " | ".join(map(cell, seen)) + " |")
        if not seen[-1].holds:
            failed.append(number)
    print("| item | before | after |\n|---|---|---|" if options.before else "| item | after |\n|---|---|")
    print("\n".join(rows))
    if failed:
        print(f"\ndoes not hold: {', '.join(map(str, failed))}")
    return 1 if failed else 0
