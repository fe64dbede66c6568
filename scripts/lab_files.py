#!/usr/bin/env python3
"""Writes the tables in examples/lab-files: invented measurements in the forms in which labs keep theirs.

zugversuche.csv      a German export: `;`, decimal commas, Windows-1252, a title line, `<` and `-` in cells
拉伸试验.csv          GBK, Chinese names, `Ni_wt` headers
tensile-tests.xlsx   a workbook: alloy names in the first row of each block (merged), a units row, blank lines
*-new.*              the same without results, to be predicted

Needs openpyxl. The same seed gives the same CSV bytes.
"""

import datetime
import math
import pathlib
import random

from openpyxl import Workbook

FOLDER = pathlib.Path(__file__).parent.parent / "examples" / "lab-files"
ELEMENTS = ["C", "Si", "Mn", "Cr", "Mo", "Ni"]
RANGES = [(0.2, 0.45), (0.15, 0.4), (0.5, 1.2), (0.1, 1.5), (0.0, 0.4), (0.1, 1.6)]


def heats(count, seed):
    """Heats of a quenched and tempered steel, each tempered at three temperatures: rows of amounts, °C, results."""
    rng = random.Random(seed)
    for heat in range(count):
        amounts = [round(rng.uniform(low, high), 2) for low, high in RANGES]
        carbon, silicon, manganese, chromium, molybdenum, nickel = amounts
        for temperature in (550, 600, 650):
            softening = (temperature - 500) * (2.2 - molybdenum)
            yield_strength = 520 + 900 * math.sqrt(carbon) + 60 * silicon + 90 * manganese + 80 * chromium
            yield_strength += 200 * molybdenum + 30 * nickel - softening + rng.gauss(0, 8)
            tensile_strength = yield_strength * 1.08 + 90 + rng.gauss(0, 6)
            elongation = 34 - tensile_strength / 62 + rng.gauss(0, 0.4)
            yield heat, amounts, temperature, round(yield_strength), round(tensile_strength), round(elongation, 1)


def comma(number):
    return str(number).replace(".", ",")


def german(rows, results):
    lines = ["Zugversuche Vergütungsstahl;;;;;;;;;;;", ""]
    names = ["Schmelze", *(f"{element} (Gew.-%)" for element in ELEMENTS), "Anlasstemperatur (°C)", "Bemerkung"]
    names += ["Streckgrenze (MPa)", "Zugfestigkeit (MPa)", "Bruchdehnung (%)"] if results else []
    lines.append(";".join(names))
    for number, (heat, amounts, temperature, *measured) in enumerate(rows):
        cells = [comma(amount) for amount in amounts]
        if number % 11 == 3:
            cells[4] = "<0,02"
        if number % 13 == 5:
            cells[1] = "-"
        remark = "vergütet bei 870 °C" if number % 2 else ""
        cells = [f"S{heat + 101}", *cells, str(temperature), remark, *(map(comma, measured) if results else [])]
        lines.append(";".join(cells))
    return ("\r\n".join(lines) + "\r\n").encode("cp1252")


def chinese(rows, results):
    names = ["炉号", *(f"{element}_wt" for element in ELEMENTS), "回火温度(℃)"]
    names += ["屈服强度(MPa)", "抗拉强度(MPa)", "延伸率(%)"] if results else []
    lines = [",".join(names)]
    for heat, amounts, temperature, *measured in rows:
        lines.append(",".join(map(str, [f"炉{heat + 1}", *amounts, temperature, *(measured if results else [])])))
    return ("\r\n".join(lines) + "\r\n").encode("gbk")


def workbook(rows, results, path):
    book = Workbook()
    book.properties.created = book.properties.modified = datetime.datetime(2026, 1, 1)
    sheet = book.active
    sheet.title = "Tensile tests"
    sheet.append(["Tensile tests of quenched and tempered steels"])
    sheet.append([])
    sheet.append(["Alloy", *ELEMENTS, "Tempering temperature", *(["YS", "UTS", "El"] if results else [])])
    sheet.append([None, *["wt%"] * len(ELEMENTS), "°F", *(["ksi", "ksi", "%"] if results else [])])
    last = None
    for heat, amounts, temperature, *measured in rows:
        if heat != last and last is not None and heat % 5 == 0:
            sheet.append([])
        name = f"A-{heat + 1:02}" if heat != last or not results else None
        fahrenheit = temperature * 9 / 5 + 32
        if results:
            ys, uts, el = measured
            measured = [round(ys / 6.894757, 1), round(uts / 6.894757, 1), el]
        sheet.append([name, *amounts, fahrenheit, *(measured if results else [])])
        if results and heat == last and temperature == 650:
            sheet.merge_cells(start_row=sheet.max_row - 2, end_row=sheet.max_row, start_column=1, end_column=1)
        last = heat
    book.save(path)


def main():
    FOLDER.mkdir(exist_ok=True)
    train, new = list(heats(20, 1)), list(heats(4, 2))
    (FOLDER / "zugversuche.csv").write_bytes(german(train, True))
    (FOLDER / "zugversuche-new.csv").write_bytes(german(new, False))
    (FOLDER / "拉伸试验.csv").write_bytes(chinese(train, True))
    (FOLDER / "拉伸试验-new.csv").write_bytes(chinese(new, False))
    workbook(train, True, FOLDER / "tensile-tests.xlsx")
    workbook(new, False, FOLDER / "tensile-tests-new.xlsx")


if __name__ == "__main__":
    main()
