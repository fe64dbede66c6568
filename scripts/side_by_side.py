#!/usr/bin/env python3
"""Compares the servers of this checkout and of another one while both run: wrk asks them in turns of two seconds, so that a
machine whose speed drifts is the same for both.

    git worktree add ../before COMMIT && (cd ../before && cargo build --release --locked)
    cargo build --release --locked
    scripts/side_by_side.py ../before [--turns 24] [--routes /debug/echo /predict/steel] [--connections 1 64] [--rows 100000]

Prints, for each figure, the median of both, and of the ratios of neighbouring turns the median and the middle half. "user" and
"system" are what a request takes of a core. `--rows` posts a table of so many rows as well (0 for none), in half as many turns.
Needs wrk and curl. Leave the machine alone meanwhile.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 2
# SAE 4140 as a data sheet has it, quenched and tempered.
STEEL = {
    "composition": {"C": 0.4, "Si": 0.25, "Mn": 0.8, "P": 0.02, "S": 0.02, "Ni": 0.1, "Cr": 1.0, "Cu": 0.1, "Mo": 0.2},
    "processing": {
        "normalizing_temperature": 870, "quenching_temperature": 855, "tempering_temperature": 600, "reduction_ratio": 500,
        "inclusions_da": 0.05, "inclusions_db": 0.0, "inclusions_dc": 0.01,
    },
}
POST = f"""wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = '{json.dumps(STEEL)}'
"""
MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6}
FIGURES = ["requests/s", "p50, µs", "p99, µs", "user, µs", "system, µs"]


class Server:
    def __init__(self, checkout, folder, name):
        self.log = folder / f"{name}.log"
        command = [checkout.resolve() / "target/release/mcvn", "serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--debug-routes"]
        self.child = subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL, stderr=self.log.open("w"))
        self.url = None

    def wait(self):
        for _ in range(300):
            found = re.search(r"listening on (http://\S+)", self.log.read_text())
            self.url = found and found[1]
            if self.url and self.is_ready():
                return
            time.sleep(0.1)
        raise SystemExit(f"no server came up:\n{self.log.read_text()}")

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.url + "/readyz", timeout=5).status == 200
        except urllib.error.URLError:
            return False

    def ticks(self):
        """Hundredths of a second in user and system mode so far."""
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]), int(fields[12])

    def table(self, table, rows):
        """Rows a second of a table that is posted and read at the same time."""
        command = ["curl", "-sfT", str(table), "-X", "POST", self.url + "/predict/steel", "-H", "content-type: text/csv", "-o", "/dev/null"]
        start = time.monotonic()
        subprocess.run(command, check=True, timeout=300)
        return rows / (time.monotonic() - start)

    def turn(self, script, route, connections):
        before = self.ticks()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}", "--latency", "-s", str(script), self.url + route]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        if "Non-2xx" in said:
            raise SystemExit(f"not every answer was a 200:\n{said}")
        after = self.ticks()
        requests = int(re.search(r"(\d+) requests in", said)[1])
        late = {share: float(value) * MICROSECONDS[unit] for share, value, unit in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)", said)}
        taken = [(now - then) * 1e4 / requests for then, now in zip(before, after)]
        return [float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), late["50"], late["99"], *taken]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--routes", nargs="+", default=["/debug/echo", "/predict/steel"])
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        script = folder / "post.lua"
        script.write_text(POST)
        servers = [Server(asked.before, folder, "before"), Server(ROOT, folder, "after")]
        try:
            for server in servers:
                server.wait()
            print("| connections | route | what | before | after | after / before | middle half |\n|---|---|---|---|---|---|---|")
            for connections in asked.connections:
                for route in asked.routes:
                    compare(servers, script, route, connections, asked.turns)
            if asked.rows:
                compare_tables(servers, folder, asked.rows, max(asked.turns // 2, 4))
        finally:
            for server in servers:
                server.child.terminate()
            for server in servers:
                server.child.wait()


def compare_tables(servers, folder, rows, turns):
    table = folder / "steels.csv"
    columns = [*STEEL["composition"], *STEEL["processing"]]
    values = [*STEEL["composition"].values(), *STEEL["processing"].values()]
    with table.open("w") as out:
        out.write(",".join(columns) + "\n")
        for row in range(rows):
            out.write(",".join(map(str, [0.3 + row % 25 / 100, *values[1:]])) + "\n")
    for server in servers:
        server.table(table, rows)
    taken = [[], []]
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            taken[side].append([servers[side].table(table, rows)])
    report(taken, 1, f"/predict/steel, {rows} rows", ["rows/s"])


def compare(servers, script, route, connections, turns):
    for server in servers:
        server.turn(script, route, connections)
    taken = [[], []]
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            taken[side].append(servers[side].turn(script, route, connections))
    report(taken, connections, route, FIGURES)


def report(taken, connections, route, names):
    turns = len(taken[0])
    for index, what in enumerate(names):
        before, after = ([figures[index] for figures in side] for side in taken)
        ratios = sorted(new / max(old, 1e-9) for old, new in zip(before, after))
        middle = f"{ratios[turns // 4]:.2f}–{ratios[-1 - turns // 4]:.2f}"
        row = [connections, route, what, f"{statistics.median(before):.4g}", f"{statistics.median(after):.4g}", f"{statistics.median(ratios):.3f}", middle]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
