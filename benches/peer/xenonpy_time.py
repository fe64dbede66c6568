"""Times XenonPy's own composition descriptors on alloys of nine elements, on one core. Run it with xenonpy.sh.

Prints one JSON line: microseconds an alloy, where a call has one alloy and where it has a thousand; for the seven
statistics of the paper (406 descriptors), and for the five that XenonPy takes when not told otherwise (290). The
processor's time is counted, so that other work on the machine is not.
"""

import json
import os
import statistics
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

TABLE = Path(__file__).resolve().parents[2] / "src" / "featurize" / "elements.csv"
SEVEN = ["WeightedAverage", "WeightedSum", "WeightedVariance", "GeometricMean", "HarmonicMean", "MaxPooling",
         "MinPooling"]  # fmt: skip
STEEL = {"C": 0.4, "Si": 0.25, "Mn": 0.8, "P": 0.02, "S": 0.02, "Ni": 0.05, "Cr": 1.0, "Cu": 0.1, "Mo": 0.2}

warnings.simplefilter("ignore")  # of 2022's Python, of the table's check sum, of roots of negative values


def import_compositions(home):
    """XenonPy reads its element table from the home folder, where it would be downloaded to: it is put there."""
    folder = Path(home, ".xenonpy", "dataset")
    folder.mkdir(parents=True)
    pd.read_csv(TABLE, index_col="element").astype(float).to_pickle(folder / "elements_completed.pd.xz")
    os.environ["HOME"] = home
    from xenonpy.descriptor import Compositions

    return Compositions


def us_per_alloy(transform, alloys, repeats):
    transform(alloys)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        transform(alloys)
        times.append(time.process_time() - start)
    return round(statistics.median(times) / len(alloys) * 1e6, 1)


def main():
    rng = np.random.default_rng(0)
    alloys = [{symbol: amount * rng.uniform(0.5, 1.5) for symbol, amount in STEEL.items()} for _ in range(1000)]
    figures = {"xenonpy": version("xenonpy")}
    with tempfile.TemporaryDirectory() as home:
        compositions = import_compositions(home)
        for suffix, featurizers, width in [("", SEVEN, 406), ("_default", "classic", 290)]:
            # "raise": by default an alloy that fails is a row of NaN, and fast.
            descriptor = compositions(n_jobs=1, featurizers=featurizers, on_errors="raise")
            assert descriptor.transform([STEEL]).shape == (1, width)
            figures[f"us_per_alloy_single{suffix}"] = us_per_alloy(descriptor.transform, [STEEL], 200)
            figures[f"us_per_alloy_of_1000{suffix}"] = us_per_alloy(descriptor.transform, alloys, 5)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
