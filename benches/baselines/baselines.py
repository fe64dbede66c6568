#!/usr/bin/env python3
"""Scores the paper's baselines, and a few stronger ones, on the splits that the project's own models are scored on.

    python benches/baselines/baselines.py --mcvn target/release/mcvn --data ../shared/data --out out/baselines

What has been scored is kept under OUT/cache, so a run that was stopped goes on where it was. OUT/SET.json holds the
scores by protocol, method and split. README.md says more.
"""

import os

for library in ("OMP", "OPENBLAS", "MKL"):  # One core, said before numpy starts: runs compare whatever else runs.
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
import json
import time
from pathlib import Path

import numpy as np

from materials import CLASSES, PROTOCOLS, RECIPES, Materials, Split
from methods import CLASSIFIERS, REGRESSORS, predict_probabilities, predict_values

Scores = dict[str, dict[str, float]]

# What is run, in this order: what one most wants to compare with comes first.
WITH_EVIDENCE = " with evidence"
PAPER_REGRESSORS = ("XGBoost", "RF", "ridge", "SVR", "SGD", "DT")
PAPER_CLASSIFIERS = ("XGBoost", "RF", "ridge", "SVM", "SGD", "DT")
STEEL_PLAN = [(method, "O") for method in REGRESSORS] + [
    (method, kind) for kind in ("E&P", "E") for method in PAPER_REGRESSORS
]
GLASS_PLAN = [("XGBoost" + WITH_EVIDENCE, "E4")] + [(method, "E4") for method in ("XGBoost", "RF", "ExtraTrees", "CatBoost")] + [
    (method, kind) for kind in ("O", "E", "E&P") for method in PAPER_CLASSIFIERS
]


def regression_scores(names: tuple[str, ...], actual: np.ndarray, predicted: np.ndarray) -> Scores:
    """R², MAE and RMSE of each target and the mean R², as src/train/metrics.rs has them."""
    scores: Scores = {}
    for name, wanted, given in zip(names, actual.T, predicted.T):
        errors = wanted - given
        r2 = 1.0 - np.sum(errors**2) / np.sum((wanted - wanted.mean()) ** 2)
        scores[name] = {"r2": r2, "mae": np.mean(np.abs(errors)), "rmse": np.sqrt(np.mean(errors**2))}
    scores["all"] = {"r2": np.mean([entry["r2"] for entry in scores.values()])}
    return scores


def classification_scores(actual: np.ndarray, probabilities: np.ndarray) -> Scores:
    """Precision, recall and F1 of each class; macro-F1, accuracy and log loss, as src/train/metrics.rs has them."""
    chosen = probabilities.argmax(axis=1)
    scores: Scores = {}
    for number, name in enumerate(CLASSES):
        both = np.sum((actual == number) & (chosen == number))
        precision = both / max(np.sum(chosen == number), 1)
        recall = both / max(np.sum(actual == number), 1)
        f1 = 2.0 / (1.0 / precision + 1.0 / recall) if both else 0.0
        scores[name] = {"precision": precision, "recall": recall, "f1": f1}
    of_actual = np.maximum(probabilities[np.arange(len(actual)), actual], 1e-15)
    scores["all"] = {
        "macro_f1": np.mean([entry["f1"] for entry in scores.values()]),
        "accuracy": np.mean(chosen == actual),
        "log_loss": -np.mean(np.log(of_actual)),
    }
    return scores


def score_with_evidence(materials: Materials, split: Split, method: str, kind: str) -> Scores:
    """As `score_split` for glasses, with the evidence that is no BMG: each of its alloys stands among the training rows
    once as RMG and once as CRA, with half the weight. As in mcvn, a split holds out a third of the evidence by chemical
    systems, and what shares the chemical system of a test row of a grouped split."""
    systems = sorted(set(materials.evidence_groups))
    fold = dict(zip(np.random.default_rng(7).permutation(systems), np.arange(len(systems)) % 3))
    held = np.array([fold[group] == split.number % 3 for group in materials.evidence_groups])
    tested, known = set(materials.groups[split.test]), set(materials.groups[split.train])
    leaks = np.array([group in tested and group not in known for group in materials.evidence_groups])
    joined, first = materials.with_evidence(), len(materials.answers)
    own, held = first + np.flatnonzero(~held & ~leaks), first + np.flatnonzero(held)
    features = joined.features(kind, np.concatenate([split.train, own]))
    train = np.vstack([features[split.train], features[own], features[own]])
    answers = np.concatenate([materials.answers[split.train], np.full(len(own), 1), np.full(len(own), 2)])
    weights = np.concatenate([np.ones(len(split.train)), np.full(2 * len(own), 0.5)])
    asked = np.concatenate([split.test, held])
    probabilities = predict_probabilities(method, train, answers, features[asked], split.number, weights)
    test = probabilities[: len(split.test)]
    actual, counts = materials.answers[split.test], materials.element_counts[split.test]
    scores = classification_scores(actual, test)
    few = counts <= 3
    scores["all_up_to_3"] = {"macro_f1": classification_scores(actual[few], test[few])["all"]["macro_f1"]}
    scores["over_3"] = {"accuracy": np.mean(test[~few].argmax(axis=1) == actual[~few])}
    scores["evidence"] = {"called_excluded": np.mean(probabilities[len(split.test) :].argmax(axis=1) == 0)}
    return scores


def score_split(materials: Materials, split: Split, method: str, kind: str) -> Scores:
    """Trains on a split's training rows and scores its test rows."""
    if method.endswith(WITH_EVIDENCE):
        return score_with_evidence(materials, split, method.removesuffix(WITH_EVIDENCE), kind)
    features = materials.features(kind, split.train)
    train, test = features[split.train], features[split.test]
    answers, actual = materials.answers[split.train], materials.answers[split.test]
    if not materials.classifies:
        predicted = predict_values(method, train, answers, materials.groups[split.train], test, split.number)
        return regression_scores(materials.recipe.targets, actual, predicted)
    probabilities = predict_probabilities(method, train, answers, test, split.number)
    scores = classification_scores(actual, probabilities)
    # Every alloy of four or more elements is a BMG in this data: the headline flatters.
    few = materials.element_counts[split.test] <= 3
    scores["all_up_to_3"] = {"macro_f1": classification_scores(actual[few], probabilities[few])["all"]["macro_f1"]}
    return scores


def cached_scores(path: Path, materials: Materials, split: Split, method: str, kind: str) -> Scores:
    """The scores of one fit: from the cache, or computed and put there."""
    if path.exists():
        return json.loads(path.read_text())["scores"]
    started = time.monotonic()
    scores = score_split(materials, split, method, kind)
    rounded = {name: {metric: round(float(v), 5) for metric, v in entry.items()} for name, entry in scores.items()}
    seconds = round(time.monotonic() - started, 2)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"scores": rounded, "seconds": seconds}))
    partial.replace(path)
    print(path.stem, f"{seconds} s", rounded["all"], flush=True)
    return rounded


def write_scores(path: Path, name: str, cache: Path) -> None:
    """Collects all cached scores of a set, also of earlier runs: one line a method."""
    protocols = []
    plan = GLASS_PLAN if name == "glass" else STEEL_PLAN
    for protocol in PROTOCOLS:
        lines = []
        for method, kind in plan:
            found = sorted(cache.glob(f"{name}.{protocol}.{method}.{kind}.*.json"))
            if found:
                splits = [json.loads(file.read_text())["scores"] for file in found]
                lines.append(f'    {json.dumps(f"{method} ({kind})")}: {json.dumps({"splits": splits})}')
        protocols.append(f'  "{protocol}": {{\n' + ",\n".join(lines) + "\n  }")
    path.write_text(f'{{"set": "{name}", "protocols": {{\n' + ",\n".join(protocols) + "\n}}\n")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Scores baselines on the project's splits.")
    parser.add_argument("--mcvn", type=Path, required=True, help="the program, for its descriptors")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets and their splits")
    parser.add_argument("--out", type=Path, required=True, help="where the scores go, and the cache")
    parser.add_argument("--set", action="append", choices=list(RECIPES), help="only this set (may be repeated)")
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS, help="only this protocol")
    methods = sorted({*REGRESSORS, *CLASSIFIERS, "XGBoost" + WITH_EVIDENCE})
    parser.add_argument("--method", action="append", choices=methods, help="only this method")
    parser.add_argument("--features", action="append", choices=("O", "E", "E&P", "E4"), help="only this feature set")
    parser.add_argument("--splits", type=int, default=10, help="only the first so many splits")
    return parser.parse_args()


def main() -> None:
    """Runs the plan of every set that was asked for."""
    arguments = parse_arguments()
    cache = arguments.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in arguments.set or RECIPES:
        materials = Materials(name, arguments.data, arguments.mcvn)
        for method, kind in GLASS_PLAN if materials.classifies else STEEL_PLAN:
            if method not in (arguments.method or [method]) or kind not in (arguments.features or [kind]):
                continue
            for protocol in arguments.protocol or PROTOCOLS:
                for split in materials.splits(protocol)[: arguments.splits]:
                    path = cache / f"{name}.{protocol}.{method}.{kind}.{split.number}.json"
                    cached_scores(path, materials, split, method, kind)
            write_scores(arguments.out / f"{name}.json", name, cache)


if __name__ == "__main__":
    main()
