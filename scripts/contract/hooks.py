"""What schemathesis needs to know beyond the OpenAPI document.

JSON Schema cannot say that amounts sum to 100 at most, that a text is a chemical formula, that a query parameter is for tables
only, or what a table holds. Here stands how such data is made where a request is meant to be right; requests that are meant to
be wrong are left as they are.
"""

import io
import json
import secrets
import sys
import zipfile

import schemathesis
from hypothesis import strategies as st

ELEMENTS = ["C", "Si", "Mn", "Cr", "Ni", "Mo", "Cu", "Al", "Ti", "Zr", "Be", "B", "P", "La"]
FOR_TABLES = {"encoding", "sheet", "map", "set", "other_columns", "safe_cells"}
# Limits in a query are pairs of a property of the model and a number.
LIMITS = {"min", "max"}


@st.composite
def formulas(draw):
    """A formula whose parts sum to 100 at most."""
    # With iron: the models of steels take no other base.
    elements = ["Fe", *draw(st.lists(st.sampled_from(ELEMENTS), max_size=5, unique=True))]
    return "".join(f"{element}{draw(st.integers(1, 16))}" for element in elements)


schemathesis.openapi.format("chemical-formula", formulas())


def is_right(case):
    """Whether every part of a request is meant to be as the document says."""
    return case.meta is not None and case.meta.generation.mode.is_positive and all(
        part.mode.is_positive for part in case.meta.components.values()
    )


def mend(composition):
    """Amounts that sum to 100 at most, and to more than nothing."""
    if not isinstance(composition, dict):
        return composition
    # Only a model that can estimate amounts takes unknown ones.
    composition = {symbol: 0.0 if amount is None else amount for symbol, amount in composition.items()}
    total = sum(composition.values())
    if total > 100:
        return {symbol: amount * 99.9 / total for symbol, amount in composition.items()}
    if total < 1e-6:
        return {symbol: 1.0 for symbol in list(composition)[:50]}
    return composition


@schemathesis.hook
def before_call(context, case, kwargs):
    if not is_right(case):
        return
    if "Idempotency-Key" in (case.headers or {}):
        # A key is for one request.
        case.headers["Idempotency-Key"] = secrets.token_hex(8)
    if isinstance(case.body, dict) and isinstance(case.body.get("confirm"), list):
        # To JSON Schema 42.0 is an integer.
        case.body["confirm"] = [int(line) for line in case.body["confirm"]]
    if case.path == "/admin/models" and isinstance(case.body, dict):
        # What a recipe may hold is told by docs and by its messages.
        case.body = recipe(20)
    if case.path == "/admin/jobs" and isinstance(case.body, dict):
        # A model that is there, and rows that it can be trained on: then there are jobs and versions to go on with.
        options = {"model": "contract", "folds": 2, "seed": 7}
        case.body = {"options": options, "data": HEATS} if "options" in case.body else {**options, "data": "heats.csv"}
    if case.path.endswith(("/predict", "/predict/steel", "/classify/glass")):
        mend_prediction(case)


def mend_prediction(case):
    query = case.query or {}
    if isinstance(case.body, dict):
        for sample in [case.body, *(case.body.get("samples") or [])]:
            if isinstance(sample, dict) and "composition" in sample:
                sample["composition"] = mend(sample["composition"])
        for limits in (case.body.get("specification") or {}).values():
            if limits.get("min", 0) > limits.get("max", limits.get("min", 0)):
                limits["min"], limits["max"] = limits["max"], limits["min"]
    # Columns, sheets and encodings are those of one table: random ones fit none.
    for name in LIMITS & set(query):
        del query[name]
    for name in FOR_TABLES & set(query):
        if name != "safe_cells" or case.media_type not in ("text/csv", SHEET):
            del query[name]


HEATS = "heat,C,Cr,hardness\n" + "".join(f"h{at // 4},{0.1 + at / 100:.2f},{at % 5 / 2},{150 + at * 3}\n" for at in range(40))
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

# Every model takes one of these columns; others come back as they are.
TABLE = "formula,normalizing_temperature,quenching_temperature,tempering_temperature,test_temperature\n"
ROWS = ["Fe98C2,870,855,600,25", "Fe97C1Cr2,880,850,550,300", "Zr41Ti14Cu13Ni10Be22,870,845,620,27"]


def text_of(rows):
    return TABLE + "".join(row + "\n" for row in rows)


def workbook_of(rows):
    cells = [line.split(",") for line in text_of(rows).splitlines()]
    lines = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in line) + "</row>" for line in cells
    )
    sheet = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/'
        f'vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{sheet}" xmlns:r="{office}"><sheets><sheet name="a" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{sheet}"><sheetData>{lines}</sheetData></worksheet>',
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


rows = st.lists(st.sampled_from(ROWS), min_size=1, max_size=5)
LINES = [
    '{"id": 1, "composition": "Fe98C2", "processing": {}}',
    '{"composition": {"C": 0.4, "Cr": 1}}',
    '{"id": "a", "composition": "Zr41Ti14Cu13Ni10Be22"}',
]
schemathesis.openapi.media_type("text/csv", rows.map(lambda own: text_of(own).encode()))
schemathesis.openapi.media_type(SHEET, rows.map(workbook_of))
schemathesis.openapi.media_type(
    "application/x-ndjson", st.lists(st.sampled_from(LINES), min_size=1, max_size=5).map(lambda own: "\n".join(own).encode())
)


def recipe(steps):
    """A recipe of a model with a name that is new."""
    return {
        "name": f"contract-{secrets.token_hex(6)}",
        "title": "A model that nobody trains",
        "group": "heat",
        "composition": {"basis": "weight_percent", "balance": "Fe", "elements": ["C", "Cr"]},
        "targets": [{"name": "hardness", "unit": "HV"}],
        "features": {},
        "network": {"attention": "self", "heads": 2, "norm": "pre", "activation": "silu", "row": [12], "head": [8], "dropout": 0.0},
        "training": {
            "members": 1, "steps": steps, "learning_rate": 0.01, "warmup": 1, "weight_decay": 0.01, "clip_norm": 5.0, "ema": 0.9,
        },
    }


def toml_of(recipe):
    lines = [f"{name} = {json.dumps(value)}" for name, value in recipe.items() if isinstance(value, str)]
    for name, value in recipe.items():
        if isinstance(value, list):
            lines += [f"[[{name}]]"] + [f"{key} = {json.dumps(own)}" for key, own in value[0].items()]
        elif isinstance(value, dict):
            lines += [f"[{name}]"] + [f"{key} = {json.dumps(own)}" for key, own in value.items()]
    return "\n".join(lines).encode()


if __name__ == "__main__":
    # The model that jobs are for, or its rows.
    print(HEATS if "rows" in sys.argv else json.dumps({**recipe(5), "name": "contract"}))

schemathesis.openapi.media_type("application/toml", st.integers(1, 50).map(lambda steps: toml_of(recipe(steps))))
