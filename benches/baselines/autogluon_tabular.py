#!/usr/bin/env python3
"""Scores AutoGluon's preset best_quality on the features O and the splits of baselines.py.

    python3 -m venv out/autogluon-venv
    out/autogluon-venv/bin/pip install -r benches/baselines/requirements-autogluon.txt
    out/autogluon-venv/bin/python benches/baselines/autogluon_tabular.py --data ../shared/data --out out/autogluon

A file of its own because AutoGluon brings many packages and is given time rather than settings: --time-limit seconds a
target, on one core. What it reaches therefore depends on the machine and on what else runs there; each fit's line says
how much of a core it had, and a fit that had too little is done again. Scores are kept after every split under
OUT/cache, so a run that was stopped goes on where it was. After a change of the time limit remove that folder.
OUT/SET.json has the shape of baselines.py's files; scripts/accuracy_tables.py reads it from
benches/baselines/scores/autogluon/SET.json.

The preset is changed in three points, so that one core suffices: a model's folds are fitted one after another; no time
goes into trying whether stacking pays (`dynamic_stacking`), so AutoGluon decides on stacking by the number of rows; and
its neural networks, which need torch and fastai, are left out: what it mixes are boosted trees and forests. Its inner
folds are drawn at random, also for the grouped splits. For glasses it aims at macro-F1.
"""

import baselines  # First: it says that numpy has one core.

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor
from sklearn.base import BaseEstimator

from materials import CLASSES, PROTOCOLS, RECIPES, Materials
from methods import CLASSIFIERS, REGRESSORS

METHOD = "AutoGluon best_quality"
LEAST_SHARE = 0.5  # Of a core. A fit that had less, also because the run was paused, is done again.


class AutoGluon(BaseEstimator):
    """AutoGluon as methods.py wants its methods: it is fitted once, and its models lie in a temporary folder."""

    def __init__(self, problem: str, metric: str, seconds: float) -> None:
        self.problem, self.metric, self.seconds = problem, metric, seconds

    def fit(self, features: np.ndarray, answers: np.ndarray) -> "AutoGluon":
        """Trains on rows of features for as long as the time limit allows."""
        self.folder = tempfile.TemporaryDirectory(prefix="autogluon-")  # Deleted together with this object.
        started, busy = time.monotonic(), time.process_time()
        self.predictor = TabularPredictor(
            "answer", problem_type=self.problem, eval_metric=self.metric, path=self.folder.name, verbosity=0
        )
        self.predictor.fit(
            as_table(features).assign(answer=answers),
            presets="best_quality",
            time_limit=self.seconds,
            num_cpus=1,
            num_gpus=0,
            dynamic_stacking=False,
            raise_on_no_models_fitted=False,  # A pause can leave it without any.
            excluded_model_types=["NN_TORCH", "FASTAI"],
            ag_args_ensemble={"fold_fitting_strategy": "sequential_local"},
        )
        seconds = time.monotonic() - started
        share = (time.process_time() - busy) / seconds
        models = len(self.predictor.model_names())
        print(f"  {models} models, {seconds:.0f} s, {share:.2f} of a core", flush=True)
        return self if share >= LEAST_SHARE else self.fit(features, answers)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The values of rows of features."""
        return self.predictor.predict(as_table(features)).to_numpy()

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """The probabilities of rows of features, a column a class."""
        return self.predictor.predict_proba(as_table(features))[list(range(len(CLASSES)))].to_numpy()


def as_table(features: np.ndarray) -> pd.DataFrame:
    """Features with names, which AutoGluon asks for."""
    return pd.DataFrame(features, columns=[f"feature_{number}" for number in range(features.shape[1])])


def add_to_baselines(seconds: float) -> None:
    """Lets baselines.py know the method, for values and for classes. The seed is the split's number: not used here."""
    REGRESSORS[METHOD] = lambda _, __: AutoGluon("regression", "root_mean_squared_error", seconds)
    CLASSIFIERS[METHOD] = lambda _, __: AutoGluon("multiclass", "f1_macro", seconds)
    baselines.STEEL_PLAN.append((METHOD, "O"))
    baselines.GLASS_PLAN.append((METHOD, "O"))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Scores AutoGluon on the project's splits.")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets and their splits")
    parser.add_argument("--out", type=Path, required=True, help="where the scores go, and the cache")
    parser.add_argument("--set", action="append", choices=list(RECIPES), help="only this set (may be repeated)")
    parser.add_argument("--protocol", action="append", choices=PROTOCOLS, help="only this protocol")
    parser.add_argument("--splits", type=int, default=3, help="only the first so many splits")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds a target")
    return parser.parse_args()


def main() -> None:
    """Scores every split of every set that was asked for."""
    arguments = parse_arguments()
    add_to_baselines(arguments.time_limit)
    cache = arguments.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for name in arguments.set or RECIPES:
        materials = Materials(name, arguments.data, mcvn=Path())  # The features O need no program.
        for protocol in arguments.protocol or PROTOCOLS:
            for split in materials.splits(protocol)[: arguments.splits]:
                path = cache / f"{name}.{protocol}.{METHOD}.O.{split.number}.json"
                baselines.cached_scores(path, materials, split, METHOD, "O")
                baselines.write_scores(arguments.out / f"{name}.json", name, cache)


if __name__ == "__main__":
    main()
