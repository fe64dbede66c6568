"""The service that a lab would otherwise write: FastAPI and PyTorch behind the same route as ours.

The network is the paper's (`MCVN-paper`: four nets, one a target), with random weights from a seed: only its speed
counts here, its answers mean nothing. Run it with serve.sh.
"""

import os
import warnings
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import orjson
import torch
from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import nn

torch.set_num_threads(1)  # a worker process per core; the tensors are far too small to share out

# ---- What the model takes and gives: the ranges of the fatigue data, and what is assumed where nothing is given.

COMPOSITION = {"C": (0.28, 0.57), "Si": (0.16, 0.35), "Mn": (0.49, 1.6), "P": (0.007, 0.031), "S": (0.003, 0.03),
               "Ni": (0.01, 2.78), "Cr": (0.01, 1.12), "Cu": (0.01, 0.22), "Mo": (0.0, 0.24)}  # fmt: skip
PROCESSING = {"normalizing_temperature": (825, 900), "quenching_temperature": (825, 865),
              "tempering_temperature": (550, 680), "reduction_ratio": (420, 5530), "inclusions_da": (0, 0.13),
              "inclusions_db": (0, 0.05), "inclusions_dc": (0, 0.058)}  # fmt: skip
ASSUMED = {"reduction_ratio": 820.0, "inclusions_da": 0.04, "inclusions_db": 0.0, "inclusions_dc": 0.01}
RANGES = COMPOSITION | PROCESSING
LOW, HIGH = np.array(list(RANGES.values()), dtype=np.float64).T
# unit, mean, spread and half the width of the interval
TARGETS = {"fatigue_strength": ("MPa", 550.0, 80.0, 34.1), "tensile_strength": ("MPa", 1000.0, 110.0, 42.3),
           "fracture_strength": ("MPa", 1700.0, 100.0, 52.1), "hardness": ("HV", 320.0, 35.0, 13.1)}  # fmt: skip

# ---- From a composition to 58 properties × 7 statistics, and to the image.

FEATURIZE = Path(__file__).resolve().parents[2] / "src" / "featurize"


def read_csv(name):
    header, *rows = [line.split(",") for line in (FEATURIZE / name).read_text().split()]
    return header[1:], [row[0] for row in rows], [row[1:] for row in rows]


PROPERTIES, symbols, rows = read_csv("elements.csv")
ELEMENTS = {symbol: index for index, symbol in enumerate(symbols)}
TABLE = np.array(rows, dtype=np.float64)
# Both are only used where all values of a property have one sign, and so none is 0.
with np.errstate(divide="ignore"):
    LOGARITHMS, RECIPROCALS = np.log(np.abs(TABLE)), 1 / TABLE
STATISTICS = ["ave", "sum", "var", "gmean", "hmean", "max", "min"]
BLOCK = [["sum", None, "var"], ["gmean", "ave", "hmean"], ["max", None, "min"]]


def image_layout():
    """For each of the 24 × 21 pixels the index of its descriptor; the blanks take the 0 after the last one."""
    blank = len(STATISTICS) * len(PROPERTIES)
    layout = np.full((24, 21), blank)
    for i, names in enumerate(read_csv("image_layout.csv")[2]):
        for j, name in enumerate(names):
            for (row, column), statistic in np.ndenumerate(np.array(BLOCK)):
                if statistic is not None:
                    index = STATISTICS.index(statistic) * len(PROPERTIES) + PROPERTIES.index(name)
                    layout[3 * i + row, 3 * j + column] = index
    return layout


LAYOUT = image_layout()


def descriptors(elements, amounts):
    """(n,) rows of the table, (n,) amounts → 7 × 58 descriptors and one 0 for the blanks of the image."""
    values = TABLE[elements]
    total = amounts.sum()
    weights = amounts / total
    average = weights @ values
    greatest, least = values.max(axis=0), values.min(axis=0)
    sign = (least > 0) * 1.0 - (greatest < 0)
    with np.errstate(all="ignore"):
        geometric = np.where(sign, sign * np.exp(weights @ LOGARITHMS[elements]), 0)
        harmonic = np.where(sign, 1 / (weights @ RECIPROCALS[elements]), 0)
    variance = weights @ (values - average) ** 2
    return np.concatenate([average, total * average, variance, geometric, harmonic, greatest, least, [0.0]])


# ---- The network of the paper's section 4.1.


class Attention(nn.Module):
    """Two heads with residual and LayerNorm. A request is one sample, which attends to itself."""

    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, num_heads=2)
        self.norm = nn.LayerNorm(width)

    def forward(self, x):  # (B, width)
        return self.norm(x + self.attention(x, x, x, need_weights=False)[0])


class Mcvn(nn.Module):
    def __init__(self, features):
        super().__init__()
        even = features + features % 2
        self.pad = nn.ZeroPad1d((0, even - features))
        self.image = nn.Sequential(
            nn.Conv2d(1, 3, 3, stride=3), nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), nn.Conv2d(4, 1, 2), nn.Flatten(),
            nn.Linear(6, 4), nn.ReLU())  # fmt: skip
        self.row = nn.Sequential(Attention(even), nn.Linear(even, 8), nn.ReLU())
        self.fusion = nn.Sequential(
            Attention(12), nn.BatchNorm1d(12), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU(),
            nn.Linear(4, 1))  # fmt: skip

    def forward(self, row, image):  # (B, features), (B, 1, 24, 21) → (B, 1)
        return self.fusion(torch.cat([self.image(image), self.row(self.pad(row))], dim=1))


class OnePerTarget(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.nets = nn.ModuleList(Mcvn(features) for _ in TARGETS)

    def forward(self, row, image):
        return torch.cat([net(row, image) for net in self.nets], dim=1)


# ---- The model: the network, and scalers from 0 to 1 for the row and from 0 to 255 for the image.


class Model:
    def __init__(self):
        rng = np.random.default_rng(0)
        alloying = np.array([ELEMENTS[symbol] for symbol in COMPOSITION])
        steels = rng.uniform(LOW[:9], HIGH[:9], (500, 9))  # in place of training rows
        seen = np.stack([descriptors(alloying, steel) for steel in steels])
        self.image_low = seen.min(axis=0)
        self.image_factor = 255 / np.maximum(seen.max(axis=0) - self.image_low, 1e-12)
        torch.manual_seed(0)
        self.net = OnePerTarget(len(RANGES)).eval()
        if os.environ.get("PEER_NETWORK", "traced") == "plain":
            return
        # Traced and frozen it takes 0.4 ms a pass, a third of the plain module and as little as torch.compile makes
        # of it, which takes half a minute to start.
        with warnings.catch_warnings(action="ignore", category=FutureWarning), torch.inference_mode():
            example = torch.zeros(1, len(RANGES)), torch.zeros(1, 1, 24, 21)
            self.net = torch.jit.freeze(torch.jit.trace(self.net, example))
            for _ in range(20):  # the first passes optimize
                self.net(*example)

    @torch.inference_mode()
    def predict(self, composition, row):
        """Amounts by element, (16,) values of the row → a standardised value a target."""
        alloying = {symbol: amount for symbol, amount in composition.items() if amount > 0 and symbol != "Fe"}
        elements = np.array([ELEMENTS[symbol] for symbol in alloying])
        found = descriptors(elements, np.array(list(alloying.values())))
        image = ((found - self.image_low) * self.image_factor).clip(0, 255).astype(np.float32)[LAYOUT]
        scaled = ((row - LOW) / (HIGH - LOW)).clip(0, 1).astype(np.float32)
        return self.net(torch.from_numpy(scaled)[None], torch.from_numpy(image)[None, None])[0].tolist()


model = Model()

# ---- The service.

Amount = Annotated[float, Field(ge=0, le=100)]
Temperature = Annotated[float, Field(ge=-273.15)]


class Processing(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    normalizing_temperature: Temperature
    quenching_temperature: Temperature
    tempering_temperature: Temperature
    reduction_ratio: Annotated[float, Field(ge=0)] = ASSUMED["reduction_ratio"]
    inclusions_da: Amount = ASSUMED["inclusions_da"]
    inclusions_db: Amount = ASSUMED["inclusions_db"]
    inclusions_dc: Amount = ASSUMED["inclusions_dc"]


class Steel(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    composition: dict[Literal[*ELEMENTS], Amount]
    processing: Processing

    @field_validator("composition")
    @classmethod
    def has_alloying_elements(cls, composition):
        if not any(amount > 0 for symbol, amount in composition.items() if symbol != "Fe"):
            raise ValueError("names no alloying element")
        return composition


app = FastAPI(title="peer")


# `async`, although it computes: a hop to a thread and back costs more than the half millisecond that it holds the loop.
@app.post("/predict/steel")
async def predict_steel(steel: Steel):
    composition = steel.composition
    processing = steel.processing.model_dump()
    row = np.array([composition.get(symbol, 0.0) for symbol in COMPOSITION] + list(processing.values()))
    properties = {}
    for (name, (unit, mean, spread, half)), output in zip(TARGETS.items(), model.predict(composition, row)):
        value = mean + spread * output
        interval = [round(value - half, 3), round(value + half, 3)]
        properties[name] = {"value": round(value, 3), "unit": unit, "interval": interval}
    reasons = [f"{symbol} was never seen" for symbol in composition if symbol not in COMPOSITION and symbol != "Fe"]
    outside = (row < LOW) | (row > HIGH)
    if outside.any():
        reasons += [f"{name} is outside its range" for name, out in zip(RANGES, outside) if out]
    answer = {
        "model": {"name": "peer", "version": "0"},
        "properties": properties,
        "confidence": 0.9,
        "in_domain": not reasons,
        "novelty_percentile": None,
        "disagreement_percentile": None,
        "assumed": {name: value for name, value in ASSUMED.items() if name not in steel.processing.model_fields_set},
        "warnings": [],
    }
    if reasons:
        answer["reasons"] = reasons
    return Response(orjson.dumps(answer), media_type="application/json")


@app.get("/readyz")
async def readyz():
    return {"status": "ready"}
