"""The data sets, their splits, and the feature sets O, E, E&P (the paper's, below its Table 3) and E4.

A file of its own so that what a method may read is decided in one place: every choice that learns from data
(which columns to keep, scales, principal components) is made on training rows.
"""

import copy
import csv
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

PROTOCOLS = ("random", "grouped")
CLASSES = ("BMG", "RMG", "CRA")


@dataclass(frozen=True)
class Recipe:
    """Which columns of which file a model reads: what its models/NAME/recipe.toml says."""

    file: str
    group: str
    elements: tuple[str, ...]
    processing: tuple[str, ...]
    targets: tuple[str, ...]


RECIPES = {
    "steel-fatigue": Recipe(
        file="nims_steel",
        group="heat",
        elements=("C", "Si", "Mn", "P", "S", "Ni", "Cr", "Cu", "Mo"),
        processing=("NT", "QT", "TT", "RR", "dA", "dB", "dC"),
        targets=("fatigue_strength", "tensile_strength", "fracture_strength", "hardness"),
    ),
    "steel-tensile": Recipe(
        file="low_alloy_steel",
        group="alloy_code",
        elements=("C", "Si", "Mn", "P", "S", "Ni", "Cr", "Mo", "Cu", "V", "Al", "N"),
        processing=("temperature",),
        targets=("yield_strength", "tensile_strength", "elongation", "reduction_of_area"),
    ),
    "glass": Recipe(file="glass", group="chemical_system", elements=(), processing=(), targets=()),
}


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to test on."""

    number: int
    train: np.ndarray
    test: np.ndarray


class Materials:
    """One data set as numbers."""

    def __init__(self, name: str, data: Path, mcvn: Path) -> None:
        self.name, self.data, self.mcvn = name, data, mcvn
        self.recipe = RECIPES[name]
        with open(data / f"{self.recipe.file}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.classifies = not self.recipe.targets
        if self.classifies:
            formulas = [parse_formula(row["alloy"]) for row in rows]
            self.elements = tuple(sorted({element for formula in formulas for element in formula}))
            self.composition = np.array([[formula.get(e, 0.0) for e in self.elements] for formula in formulas])
            self.composition /= self.composition.sum(axis=1, keepdims=True)
            self.answers = np.array([CLASSES.index(row["class"]) for row in rows])
            self.groups = np.array(["-".join(sorted(e for e in f if f[e] > 0)) for f in formulas])
        else:
            self.elements = self.recipe.elements
            self.composition = columns(rows, self.elements)
            self.answers = columns(rows, self.recipe.targets)
            self.groups = np.array([row[self.recipe.group] for row in rows])
        self.evidence = np.zeros((0, len(self.elements)))
        if self.classifies:
            self.read_evidence()
        self.original = np.hstack([self.composition, columns(rows, self.recipe.processing)])

    def read_evidence(self) -> None:
        """Alloys that were cast and found crystalline (not BMG), as atomic fractions; elements that no glass has are
        left out."""
        with open(self.data / "cast_crystalline.csv", newline="") as file:
            formulas = [parse_formula(row["alloy"]) for row in csv.DictReader(file)]
        self.evidence = np.array([[formula.get(e, 0.0) for e in self.elements] for formula in formulas])
        self.evidence /= self.evidence.sum(axis=1, keepdims=True)
        self.evidence_groups = np.array(["-".join(sorted(e for e in f if f[e] > 0)) for f in formulas])

    def with_evidence(self) -> "Materials":
        """The same set with its evidence as further rows behind the measured ones; their answers mean nothing."""
        joined = copy.copy(self)
        for cached in ("descriptors", "structure", "element_counts"):
            joined.__dict__.pop(cached, None)
        joined.composition = np.vstack([self.composition, self.evidence])
        joined.original = joined.composition
        joined.answers = np.concatenate([self.answers, np.full(len(self.evidence), -1)])
        joined.groups = np.concatenate([self.groups, self.evidence_groups])
        return joined

    def splits(self, protocol: str) -> list[Split]:
        """The splits of a protocol, read as src/data/splits.rs reads them: a row not listed is for training."""
        listed: dict[int, dict[int, str]] = {}
        with open(self.data / "splits" / f"{self.recipe.file}.{protocol}.csv", newline="") as file:
            for row in csv.DictReader(file):
                if row["part"] not in ("test", "unused"):
                    raise ValueError(f"part {row['part']} is neither test nor unused")
                listed.setdefault(int(row["split"]), {})[int(row["row"])] = row["part"]
        everything = np.arange(len(self.answers))
        return [
            Split(number, np.setdiff1d(everything, list(parts)), np.array(sorted(r for r in parts if parts[r] == "test")))
            for number, parts in sorted(listed.items())
        ]

    @cached_property
    def descriptors(self) -> np.ndarray:
        """The 406 descriptors as `mcvn featurize` writes them.

        Steels: of the alloying elements' wt%, no iron, as in the paper. Glasses: of atomic percent, so that a
        formula's scale does not matter.
        """
        amounts = self.composition * 100.0 if self.classifies else self.composition
        return featurize(self.mcvn, self.elements, amounts)

    @cached_property
    def structure(self) -> np.ndarray:
        """Mixing entropy, number of elements, largest and second-largest fraction (src/featurize/features.rs)."""
        fractions = self.composition / self.composition.sum(axis=1, keepdims=True)
        entropy = -np.sum(fractions * np.log(np.where(fractions > 0, fractions, 1.0)), axis=1)
        ordered = np.sort(fractions, axis=1)
        return np.column_stack([entropy, self.element_counts, ordered[:, -1], ordered[:, -2]])

    @cached_property
    def element_counts(self) -> np.ndarray:
        """How many elements each row has."""
        return (self.composition > 0).sum(axis=1)

    def features(self, kind: str, train: np.ndarray) -> np.ndarray:
        """The feature set `kind` of all rows, standardised by the training rows."""
        original = standardised(self.original, train)
        if kind == "O":
            return original
        if kind == "E":
            return np.hstack([original, standardised(self.descriptors, train)])
        if kind == "E&P":
            expanded = standardised(self.descriptors, train)
            components = PCA(n_components=0.99, svd_solver="full").fit(expanded[train]).transform(expanded)
            return np.hstack([original, standardised(components, train)])
        if kind == "E4":
            everything = np.hstack([self.original, self.descriptors, self.structure])
            return standardised(everything, train)
        raise ValueError(f"no feature set {kind}")


def columns(rows: list[dict[str, str]], names: tuple[str, ...]) -> np.ndarray:
    """Columns of a table as numbers."""
    return np.array([[float(row[name]) for name in names] for row in rows]).reshape(len(rows), len(names))


def standardised(table: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 on the training rows, cut at ±10.

    Columns that are not finite in training, or vary there by no more than rounding, are dropped. A test value that
    is not finite becomes the training mean. The cut keeps a rare element, nearly constant in training, from
    throwing the linear methods off.
    """
    known = table[train]
    finite = np.isfinite(known).all(axis=0)
    largest = np.abs(np.where(finite, known, 0.0)).max(axis=0)
    kept = finite & (np.ptp(np.where(finite, known, 0.0), axis=0) > 1e-9 * largest)
    scaler = StandardScaler().fit(known[:, kept])
    filled = np.where(np.isfinite(table[:, kept]), table[:, kept], scaler.mean_)
    return scaler.transform(filled).clip(-10.0, 10.0)


def featurize(mcvn: Path, elements: tuple[str, ...], amounts: np.ndarray) -> np.ndarray:
    """Descriptors of amounts (a row a composition) by the program under test, so that both read the same."""
    with tempfile.TemporaryDirectory() as folder:
        table, output = Path(folder) / "amounts.csv", Path(folder) / "descriptors.csv"
        with open(table, "w", newline="") as file:
            csv.writer(file).writerows([elements, *amounts.tolist()])
        subprocess.run([mcvn.resolve(), "featurize", "--csv", table, "--output", output], check=True)
        with open(output, newline="") as file:
            _, *lines = csv.reader(file)
    return np.array([[float(cell or "nan") for cell in line] for line in lines])


def parse_formula(text: str) -> dict[str, float]:
    """Atomic parts of a formula by the grammar of src/domain/formula.rs.

    The inside of a bracket is normalised to 1 before it is multiplied; a trailing `T` is a note.
    """
    tokens = re.findall(r"[A-Z][a-z]*|[(\[{]|[)\]}]|[0-9.]+", re.sub(r"(?<=.)T$", "", text.strip()))
    stack: list[dict[str, float]] = [{}]
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if token in "([{":
            stack.append({})
            continue
        if token in ")]}":
            inside = stack.pop()
            part = {element: amount / sum(inside.values()) for element, amount in inside.items()}
        else:
            part = {token: 1.0}
        factor = 1.0
        if at < len(tokens) and tokens[at][0] in "0123456789.":
            factor = float(tokens[at])
            at += 1
        for element, amount in part.items():
            stack[-1][element] = stack[-1].get(element, 0.0) + factor * amount
    if len(stack) != 1:
        raise ValueError(f"unmatched bracket in {text}")
    return stack[0]
