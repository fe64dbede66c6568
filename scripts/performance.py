#!/usr/bin/env python3
"""Measures how fast mcvn is on this machine and writes docs/performance.md and README's section on it.

    scripts/performance.py                # everything, some twenty minutes: ten of them the soak
    scripts/performance.py serve bulk     # these again; the others' figures stay as they were

Needs wrk and curl. Each benchmark's output is kept under out/performance. Leave the machine alone meanwhile.
"""

import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT = ROOT / "out" / "performance"
BENCHES = {
    "serve": ("Predictions over HTTP", ["cargo", "bench", "--locked", "--bench", "serve", "--", "--peer"]),
    "micro": ("Each step alone", ["cargo", "bench", "--locked", "--bench", "micro"]),
    "xenonpy": ("XenonPy's descriptors", ["benches/peer/xenonpy.sh"]),
    "growth": ("Growth with size and connections", ["cargo", "bench", "--locked", "--bench", "growth"]),
    "bulk": ("Bulk work", ["cargo", "bench", "--locked", "--bench", "bulk"]),
    "overload": ("Four times the capacity", ["cargo", "bench", "--locked", "--bench", "overload"]),
    "soak": ("Ten minutes at 80 % of capacity", ["cargo", "bench", "--locked", "--bench", "soak", "--", "--seconds", "600"]),
}


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    processor = model[1] if model else platform.processor()
    return f"{os.cpu_count()} virtual cores of {processor}, {int(memory[1]) / 1e6:.0f} GB, {platform.system()} on {platform.machine()}"


def measure(name):
    print(f"measuring {name} …", file=sys.stderr)
    run = subprocess.run(BENCHES[name][1], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    text = run.stdout
    if name == "micro":
        text = micro_table(text)
    if run.returncode not in (0, 1, 101) or not text.strip():
        sys.exit(f"{name} ended with {run.returncode}:\n{run.stderr[-2000:]}")
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.txt").write_text(text.strip() + "\n")
    (KEPT / f"{name}.machine").write_text(machine())


def micro_table(text):
    """criterion's lines as a table: the middle one of its three estimates."""
    rows = re.findall(r"^(\S.*?)\s*\n?\s+time:\s+\[\S+ \S+ (\S+) (\S+) \S+ \S+\](?:\s+thrpt:\s+\[\S+ \S+ (\S+ \S+) \S+ \S+\])?", text, re.M)
    lines = ["| step | time | samples/s |", "|---|---|---|"]
    lines += [f"| {name.strip()} | {value} {unit} | {rate.replace('elem/s', '').strip() if rate else ''} |" for name, value, unit, rate in rows]
    return "\n".join(lines)


def kept(name):
    file = KEPT / f"{name}.txt"
    return file.read_text() if file.exists() else ""


def find(pattern, text, what):
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"no {what} in the output")
    return found


def summary():
    serve, bulk, overload = kept("serve"), kept("bulk"), kept("overload")
    one = find(r"1 connections: ([\d.]+) × the echo's rate, ([\d.]+) × its p50, ([\d.]+) × its p99", serve, "ratio")
    many = find(r"64 connections: ([\d.]+) × the echo's rate, ([\d.]+) × its p50, ([\d.]+) × its p99; (\d+) × the plain peer.*?; (\d+) × the traced peer", serve, "ratio")
    rate = find(r"\| 64 \| /predict/steel \| (\d+)", serve, "rate")
    p50 = find(r"\| 1 \| /predict/steel \| \S+ \| (\S+)", serve, "p50")
    rows = find(r"\n(\S+) s, (\d+) rows/s", bulk, "rows")
    count = find(r"A table of (\d+) rows", bulk, "rows")
    p99 = find(r"p99 of single requests, ms \| \S+ \| \S+ \| (\S+)", bulk, "p99")
    peak = find(r"resident memory, peak, MB \| \S+ \| (\S+)", bulk, "memory")
    shares = re.findall(r"\| (glass|steel-\w+) \| \d+ \| \d+ \| \d+ \| ([\d.]+) \|", bulk)
    accepted = find(r"accepted, once the queue is full \| (\d+) requests/s, (\d+) samples/s", overload, "accepted")
    top = find(r"peak, closed loop \| (\d+) requests/s, (\d+) samples/s", overload, "peak")
    refusals = find(r"refused, p50 / p99 / max, ms, at the server \| (\S+) / (\S+)", overload, "refusals")
    lines = [
        f"On {(KEPT / 'serve.machine').read_text()}, shared with the load generator; figures drift by a fifth, ratios are of one run:",
        "",
        f"- `POST /predict/steel`, 64 connections: {int(rate[1]):,} requests/s, {many[1]} × a route of the same server that only reads "
        f"and writes the same JSON, p99 {many[3]} × its; {many[4]} × FastAPI with "
        f"PyTorch's modules (`benches/peer`), {many[5]} × the same with them traced and frozen. One connection: p50 {p50[1]} µs, "
        f"{one[2]} × the JSON route's.",
        f"- A table of {int(count[1]):,} rows: {float(rows[1]):.0f} s, {int(rows[2]):,} rows/s, peak memory {peak[1]} MB; single requests "
        f"meanwhile have {p99[1]} × the p99 of an idle server. `mcvn predict` reaches "
        + ", ".join(f"{share} ({name})" for name, share in shares)
        + " of the rate of bare passes.",
        f"- At four times what it can do: {int(accepted[2]) / int(top[2]):.2f} × the peak's samples/s are answered, all in time; the rest "
        f"is refused within {refusals[2]} ms (p99, at the server).",
    ]
    ours = re.search(r"\| descriptors/9 elements \| ([\d.]+) (ns|µs|us)", kept("micro"))
    theirs = re.search(r'"us_per_alloy_single": ([\d.]+), "us_per_alloy_of_1000": ([\d.]+)', kept("xenonpy"))
    if ours and theirs:
        microseconds = float(ours[1]) / (1000 if ours[2] == "ns" else 1)
        ratios = [float(number) / microseconds for number in theirs.groups()]
        lines.append(
            f"- The 406 descriptors of a 9-element alloy: {microseconds:.2f} µs; XenonPy's `Compositions.transform`: "
            f"{float(theirs[1]) / 1000:.1f} ms ({ratios[0]:,.0f} × that), {float(theirs[2]) / 1000:.1f} ms an alloy in a list of "
            f"1,000 ({ratios[1]:,.0f} ×)."
        )
    soak = kept("soak")
    answers = re.search(r"^(\d+) answers as expected", soak, re.M)
    tenths = re.findall(r"^\| \d+ \| \d+ \| \S+ \| (\S+) \| (\S+) \|", soak, re.M)
    if answers and tenths:
        p99s, memories = (sorted(map(float, column)) for column in zip(*tenths))
        lines.append(
            f"- Ten minutes at 80 % of capacity, routes, tables and bad inputs mixed: {int(answers[1]):,} answers, every one as "
            f"expected; in each tenth of the time p99 {p99s[0]:.0f} to {p99s[-1]:.0f} ms and memory from {memories[0]:.0f} to "
            f"{memories[-1]:.0f} MB at the least."
        )
    lines += ["", "[docs/performance.md](docs/performance.md) has the tables; `scripts/performance.py` makes both."]
    return "\n".join(lines)


def main():
    names = sys.argv[1:] or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            sys.exit(f"no benchmark {name}; there are {', '.join(BENCHES)}")
        measure(name)
    page = ["# How fast", "", "Made by `scripts/performance.py`; each part is the output of the command above it.", ""]
    for name, (title, command) in BENCHES.items():
        if kept(name):
            page += [f"## {title}", "", f"`{' '.join(command)}`, on {(KEPT / f'{name}.machine').read_text()}:", "", kept(name)]
    (ROOT / "docs" / "performance.md").write_text("\n".join(page).rstrip() + "\n")
    readme = ROOT / "README.md"
    text = re.sub(r"(<!-- performance -->\n).*?(<!-- /performance -->)", lambda m: m[1] + summary() + "\n" + m[2], readme.read_text(), flags=re.S)
    readme.write_text(text)


if __name__ == "__main__":
    main()
