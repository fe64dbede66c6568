#!/usr/bin/env python3
"""Writes the tables of docs/accuracy.md from what was measured.

    python3 scripts/accuracy_tables.py OUT [--write docs/accuracy.md]

OUT holds MODEL.PROTOCOL.json (`mcvn evaluate --json`) and, where they were run, MODEL.PROTOCOL.ablation.json
(`mcvn evaluate --ablation --json`); the baselines' scores stand in benches/baselines/scores. Each table goes between
the lines `<!-- NAME -->` and `<!-- /NAME -->` of the document; one whose measurements are not in OUT stays as it is. Only the
standard library is needed.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from statistics import mean, stdev

MODELS = ["steel-fatigue", "steel-tensile", "glass"]
PROTOCOLS = ["random", "grouped"]
ROOT = Path(__file__).resolve().parent.parent
BASELINES = ROOT / "benches" / "baselines" / "scores"
MODELS_FOLDER = ROOT / "models"
# Tables 3, 5 and 6 of the paper: one unpublished random split (ten folds for the tensile set, which is another one).
PAPER = {
    "steel-fatigue": {"fatigue_strength": 0.954, "tensile_strength": 0.983, "fracture_strength": 0.954, "hardness": 0.98},
    "steel-tensile": {"yield_strength": 0.974, "tensile_strength": 0.98, "elongation": 0.943, "reduction_of_area": 0.835},
    "glass": {"BMG": 0.917, "RMG": 0.921, "CRA": 0.818},
}


def metric(model: str) -> tuple[str, str]:
    """The metric of one output, and that of the whole."""
    return ("f1", "macro_f1") if model == "glass" else ("r2", "r2")


def value(split: dict, output: str, model: str) -> float:
    one, whole = metric(model)
    return split[output][whole if output == "all" else one]


def evaluated(out: Path, model: str, protocol: str) -> list[dict] | None:
    path = out / f"{model}.{protocol}.json"
    return [split["scores"] for split in json.loads(path.read_text())["splits"]] if path.exists() else None


def baselines(model: str, protocol: str) -> dict[str, list[dict]]:
    methods = {}
    for path in BASELINES.rglob(f"{model}.json"):  # AutoGluon's have a folder of their own.
        methods |= json.loads(path.read_text())["protocols"].get(protocol, {})
    return {name: method["splits"] for name, method in methods.items()}


def row(name: str, splits: list[dict], model: str, ours: list[dict] | None) -> str:
    cells = [f"{mean(value(split, output, model) for split in splits):.3f}" for output in ["all", *PAPER[model]]]
    spread = stdev([value(split, "all", model) for split in splits]) if len(splits) > 1 else 0.0
    behind = ""
    if ours and splits is not ours:
        behind = paired(*([value(split, "all", model) for split in own] for own in (ours, splits)))
    return f"| {name} | {cells[0]} ± {spread:.3f} | {' | '.join(cells[1:])} | {behind} | {len(splits)} |"


def paired(scores: list[float], others: list[float]) -> str:
    """The mean difference over the same splits, with its standard error."""
    differences = [a - b for a, b in zip(scores, others)]
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return f"{mean(differences):+.4f} ± {error:.4f}"


def comparison(out: Path, model: str, protocol: str) -> str:
    ours = evaluated(out, model, protocol)
    title = "macro-F1" if model == "glass" else "mean R²"
    outputs = " | ".join(PAPER[model])
    lines = [
        f"| {model}, {protocol} | {title} | {outputs} | mcvn ahead (paired, ± standard error) | splits |",
        "|---|---|" + "---|" * (len(PAPER[model]) + 2),
    ]
    if ours:
        lines.append(row("**mcvn, as shipped**", ours, model, ours))
    methods = {**baselines(model, protocol), **paper_network(out, model, protocol)}
    ranked = sorted(methods.items(), key=lambda item: -mean(value(s, "all", model) for s in item[1]))
    lines += [row(name, splits, model, ours) for name, splits in ranked]
    if protocol == "random":
        paper = PAPER[model]
        cells = " | ".join(f"{number:.3f}" for number in paper.values())
        lines.append(f"| the paper's MCVN, one unpublished split | {mean(paper.values()):.3f} | {cells} | | 1 |")
    return "\n".join(lines)


def paper_network(out: Path, model: str, protocol: str) -> dict[str, list[dict]]:
    """The paper's own network, from the ablation."""
    path = out / f"{model}.{protocol}.ablation.json"
    variants = json.loads(path.read_text())["variants"] if path.exists() else []
    return {entry["name"]: entry["splits"] for entry in variants if entry["name"].startswith("MCVN-paper")}


def trust(out: Path) -> str:
    """How often intervals hold, beside intervals of one width for all rows; and the calibration of classes."""
    lines = [
        "| model, protocol | output | covers | mean width | interval score to that of constant width |",
        "|---|---|---|---|---|",
    ]
    classes = ["", "| model, protocol | expected calibration error | log loss |", "|---|---|---|"]
    for model in MODELS:
        for protocol in [*PROTOCOLS, "region"]:
            splits = evaluated(out, model, protocol) or []
            if model == "glass" and splits and "ece" in splits[0]["all"]:
                ece, loss = (mean(split["all"][name] for split in splits) for name in ("ece", "log_loss"))
                classes.append(f"| {model}, {protocol} | {ece:.3f} | {loss:.3f} |")
            for output in PAPER[model]:
                if splits and "coverage_90" in splits[0].get(output, {}):
                    covered = [split[output]["coverage_90"] for split in splits]
                    width = mean(split[output]["width_90"] for split in splits)
                    lines.append(
                        f"| {model}, {protocol} | {output} | {mean(covered):.3f} ± {stdev(covered):.3f} | {width:.1f} | "
                        f"{score_ratio(splits, output)} |"
                    )
    active = MODELS_FOLDER / "glass" / (MODELS_FOLDER / "glass" / "active").read_text().strip() / "manifest.json"
    held_out = json.loads(active.read_text())["calibration"]["probabilities"]
    classes += ["", "| glass, held-out rows of the shipped model | expected calibration error | log loss |", "|---|---|---|"]
    for when in ["before", "after"]:
        ece, loss = (held_out[f"{name}_{when}"] for name in ("ece", "log_loss"))
        classes.append(f"| {when} calibration | {ece:.3f} | {loss:.3f} |")
    return "\n".join(lines + classes)


def score_ratio(splits: list[dict], output: str) -> str:
    """The interval score over that of intervals of one width for all rows, with its standard error over splits."""
    ratios = [split[output]["interval_score_90"] / split[output]["constant_interval_score_90"] for split in splits]
    error = stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else 0.0
    return f"{mean(ratios):.3f} ± {error:.3f}"


def coverage(out: Path) -> str:
    """Coverage of 90 % intervals in parts of the rows, as a mean of the targets."""
    parts = ["least_disagreement", "middle_disagreement", "most_disagreement", "least_value", "middle_value", "most_value"]
    parts += ["ten_lowest", "ten_highest"]
    lines = [
        f"| model, protocol | all | with an interval | {' | '.join(part.replace('_', ' ') for part in parts)} |",
        "|---|---|---|" + "---|" * len(parts),
    ]
    for model in MODELS:
        for protocol in [*PROTOCOLS, "region"]:
            splits = [split["all"] for split in evaluated(out, model, protocol) or []]
            if splits and "coverage_90" in splits[0]:
                names = ["coverage_90", "with_interval", *(f"coverage_90_{part}" for part in parts)]
                cells = [f"{mean(split[name] for split in splits):.3f}" for name in names]
                lines.append(f"| {model}, {protocol} | {' | '.join(cells)} |")
    return "\n".join(lines)


def chances(out: Path) -> str:
    """Brier scores of `chance_all`, and how often limits were kept where a chance was given."""
    edges = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    heads = [f"{low:.1f} to {high:.1f}" for low, high in zip(edges, edges[1:])]
    lines = [
        f"| model, protocol | Brier score | independent errors | share alone | {' | '.join(heads)} |",
        "|---|---|---|---|" + "---|" * len(heads),
    ]
    for model in MODELS:
        for protocol in [*PROTOCOLS, "region"]:
            path = out / f"{model}.{protocol}.json"
            splits = json.loads(path.read_text())["splits"] if path.exists() else []
            outcomes = [outcome for split in splits for outcome in split.get("chances", [])]
            if not outcomes:
                continue
            names = ["chance_brier", "chance_brier_independent", "chance_brier_of_share"]
            cells = [f"{mean(split['scores']['all'][name] for split in splits):.3f}" for name in names]
            for low, high in zip(edges, edges[1:]):
                own = [outcome for outcome in outcomes if low <= outcome["chance"] < high]
                said, kept = (mean(float(o[key]) for o in own) if own else 0.0 for key in ("chance", "kept"))
                cells.append(f"{said:.2f} said, {kept:.2f} kept ({len(own)})" if own else "")
            lines.append(f"| {model}, {protocol} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ranks(out: Path) -> str:
    lines = ["| model, protocol | novelty | disagreement |", "|---|---|---|"]
    for model in MODELS:
        for protocol in PROTOCOLS:
            splits = evaluated(out, model, protocol) or []
            cells = []
            for name in ["novelty", "disagreement"]:
                found = [split["all"][f"{name}_ranks_errors"] for split in splits]
                cells.append(f"{mean(found):+.2f} ± {stdev(found) / len(found) ** 0.5:.2f}" if len(found) > 1 else "")
            lines.append(f"| {model}, {protocol} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ablations(out: Path, model: str) -> str | None:
    found = {}
    for protocol in PROTOCOLS:
        path = out / f"{model}.{protocol}.ablation.json"
        if path.exists():
            found[protocol] = {entry["name"]: entry for entry in json.loads(path.read_text())["variants"]}
    if not found:
        return None
    head = " | ".join(f"{protocol} | to the first" for protocol in found)
    lines = [
        f"| {model}: {'macro-F1' if model == 'glass' else 'mean R²'} | {head} | splits |",
        "|---|" + "---|" * (2 * len(found) + 1),
    ]
    names = list(next(iter(found.values())))
    for name in names:
        cells = []
        for entries in found.values():
            scores, first = ([value(split, "all", model) for split in entries[own]["splits"]] for own in (name, names[0]))
            spread = stdev(scores) if len(scores) > 1 else 0.0
            effect = entries[name].get("batch_effect")
            asked_alone = f" (alone: {', '.join(f'{change:.3g}' for change in effect)} off)" if effect else ""
            cells.append(f"{mean(scores):.4f} ± {spread:.3f}{asked_alone}")
            cells.append(paired(scores, first) if name != names[0] else "")
        count = len(next(iter(found.values()))[name]["splits"])
        lines.append(f"| {name} | {' | '.join(cells)} | {count} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    found = {(model, protocol): evaluated(arguments.out, model, protocol) for model in MODELS for protocol in PROTOCOLS}
    tables = {}
    if all(found.values()):
        tables |= {"trust": trust(arguments.out), "ranks": ranks(arguments.out)}
        tables |= {"coverage": coverage(arguments.out), "chances": chances(arguments.out)}
    for model in MODELS:
        tables[f"{model}.ablation"] = ablations(arguments.out, model)
        for protocol in PROTOCOLS:
            tables[f"{model}.{protocol}"] = comparison(arguments.out, model, protocol) if found[model, protocol] else None
    tables = {name: table for name, table in tables.items() if table}
    print(f"written: {', '.join(tables)}; whatever is not among these was not measured here, and stays", file=sys.stderr)
    if arguments.write is None:
        print("\n\n".join(tables.values()))
        return
    text = arguments.write.read_text()
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
        if not place.search(text):
            raise SystemExit(f"{arguments.write} has no place for {name}")
        text = place.sub(lambda match: match.group(1) + "\n" + table + "\n\n" + match.group(2), text)
    arguments.write.write_text(text)


if __name__ == "__main__":
    main()
