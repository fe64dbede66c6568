"""What scripts/gpu_checks.sh does: the program on a GPU beside the same program on the CPU.

Each check writes its own lines of a Markdown page, even where it fails or runs out of its time: a GPU may be lent once,
and what was seen must not be lost with what was not. Standard library alone.
"""

import datetime
import http.client
import json
import multiprocessing
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 440  # for all checks
TOLERANCE = 1e-4  # relative, GPU against CPU
ROWS = 1_000_000
CONNECTIONS = 32
RECIPE = ROOT / "examples/steel-lab42/recipe.toml"
DATA = ROOT / "examples/steel-lab42/measurements.csv"
START = time.monotonic()


def left(most):
    """Seconds that a step may take."""
    return max(5.0, min(most, SECONDS - (time.monotonic() - START)))


class Page:
    """The page, written after every line."""

    def __init__(self, path):
        self.path, self.lines, self.failed = path, [], []

    def say(self, *lines):
        self.lines += lines
        self.path.write_text("\n".join(self.lines) + "\n")
        print("\n".join(lines), flush=True)

    def check(self, ok, text):
        self.say(f"- {'' if ok else '**FAILED** '}{text}")
        if not ok:
            self.failed.append(text)


def run(command, seconds):
    """Standard output, standard error, exit status (None: out of time), seconds."""
    begin = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=left(seconds))
        return done.stdout, done.stderr, done.returncode, time.monotonic() - begin
    except subprocess.TimeoutExpired:
        return "", "", None, time.monotonic() - begin


class Server:
    """A server on a free port, with what it logs."""

    def __init__(self, binary, device, folder, extra=()):
        command = [binary, "serve", "--device", device, "--listen", "127.0.0.1:0", "--models-dir", str(ROOT / "models"),
                   *extra]
        begin = time.monotonic()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder,
                                        env={**os.environ, "RUST_LOG": "info"})
        self.log, self.port, self.ready = [], None, threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        while not self.ready.wait(0.02):
            ended = self.process.poll() is not None
            if ended or time.monotonic() - begin > left(120):
                time.sleep(0.2)  # for the rest of its log
                self.process.kill()
                what = f"ended with {self.process.poll()}" if ended else "was not ready in time"
                raise RuntimeError(f"the server {what}: " + "".join(self.log[-3:]).strip())
        self.seconds = time.monotonic() - begin

    def read(self):
        for line in self.process.stderr:
            self.log = [*self.log[-200:], line]
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found.group(1))
            if re.search(r"mcvn::serving: ready", line):
                self.ready.set()

    def ask(self, path, body, kind="application/json", headers=(), connection=None):
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        own.request("POST" if body is not None else "GET", path, body, {"content-type": kind, **dict(headers)})
        answer = own.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {text[:300]}")
        return text

    def memory(self):
        """Megabytes on the host, and on the GPU where nvidia-smi tells."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        host = int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024
        try:
            query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
            device = subprocess.run(query, capture_output=True, text=True, timeout=10).stdout.split()
        except (OSError, subprocess.TimeoutExpired):
            device = []
        return f"{host:.0f} MB on the host" + (f", {device[0]} MB of the GPU in use" if device else "")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(60)


def steel(index):
    """A steel like AISI 4140; different for each index."""
    return {
        "composition": {"C": (29 + index % 28) / 100, "Si": 0.25, "Mn": (50 + index // 28 % 100) / 100, "P": 0.02,
                        "S": 0.02, "Ni": 0.05, "Cr": (10 + index % 100) / 100, "Cu": 0.1, "Mo": 0.2},
        "processing": {"normalizing_temperature": 870, "quenching_temperature": 855,
                       "tempering_temperature": 550 + index % 131},
    }


def load(server, connections, seconds, pause=0.0):
    """Single requests over some connections: requests a second, p50 and p99 in ms."""
    times, end, wrong = [], time.monotonic() + seconds, []

    def client(number):
        connection, index = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60), number
        while time.monotonic() < end:
            body, begin = json.dumps(steel(index)), time.perf_counter()
            try:
                server.ask("/predict/steel", body, connection=connection)
            except (RuntimeError, OSError) as error:
                wrong.append(str(error))
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            times.append(time.perf_counter() - begin)
            index += connections
            time.sleep(pause)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    times.sort()
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1e3
    return len(times) / seconds, at(0.5), at(0.99), wrong


def numbers(answer):
    """All numbers of an answer, with their places."""
    found = {}

    def walk(value, place):
        if isinstance(value, bool) or value is None or isinstance(value, str):
            return
        if isinstance(value, (int, float)):
            found[place] = float(value)
        else:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                walk(inner, f"{place}/{key}")

    for name in ("properties", "probabilities"):
        walk(answer.get(name, {}), name)
    return found


def machine(page, binary, device):
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip() or "none"
    except (OSError, subprocess.TimeoutExpired):
        gpu = "none (no nvidia-smi)"
    version = run([binary, "--version"], 60)[0].strip()
    page.say(f"## {datetime.date.today()}, `--device {device}`", "",
             f"{version}; GPU: {gpu}; {os.cpu_count()} CPU cores, {platform.machine()}. Made by `scripts/gpu_checks.sh`.", "")


def selftest(page, binary, device, _folder):
    page.say("### Every model against the CPU", "")
    command = [binary, "selftest", "--device", device, "--batches", "1,32,1024,65536"]
    out, error, status, seconds = run(command, 150)
    page.check(status == 0, f"`selftest --batches 1,32,1024,65536`: exit status {status}, {seconds:.0f} s")
    page.say("", "```", *(out.strip() or error.strip()[-1500:]).splitlines(), "```", "")


def training(page, binary, device, folder):
    page.say("### Training (`examples/steel-lab42`, 90 rows)", "", "| device | seconds | weights | r2 random | r2 grouped |",
             "|---|---|---|---|---|")
    seen = []
    for name, on, report in [("gpu", device, True), ("gpu-again", device, False), ("cpu", "cpu", True)]:
        place = folder / name
        command = [binary, "train", "--recipe", str(RECIPE), "--data", str(DATA), "--device", on, "--seed", "7",
                   "--progress", "none", "--out", str(place)]
        _, error, status, seconds = run(command + (["--report"] if report else []), 90)
        if status != 0:
            page.say(f"| {on} | exit status {status} after {seconds:.0f} s: {error.strip()[-300:]} | | | |")
            page.failed.append(f"training on {on}")
            continue
        weights = json.loads((place / "manifest.json").read_text())["weights_sha256"][:12]
        scores = ["", ""]
        if report:
            protocols = json.loads((place / "report.json").read_text())["protocols"]
            scores = [f"{protocol['candidate']['all']['r2']['mean']:.4f}" for protocol in protocols]
        page.say(f"| {on}{'' if report else ', the same seed again, no report'} | {seconds:.1f} | `{weights}` | {' | '.join(scores)} |")
        seen.append((on, weights))
    page.say("")
    own = [weights for on, weights in seen[:2] if on == device]
    page.check(len(own) == 2 and own[0] == own[1], "the same seed twice gives the same weights")
    page.say("")


def answers(page, binary, device, folder):
    page.say("### A server", "")
    server, beside = Server(binary, device, folder), Server(binary, "cpu", folder)
    try:
        chosen = next((line for line in server.log if "device chosen" in line), "").strip()
        page.say(f"- ready after {server.seconds:.1f} s; log: `{re.sub(r'^.*device chosen', 'device chosen', chosen)}`")
        page.say(f"- memory, idle: {server.memory()}")
        worst, compared = 0.0, 0
        glasses = [f"Cu{40 + i % 30}Zr{60 - i % 30 - i % 8}Al{i % 8}" for i in range(100)]
        questions = [("/predict/steel", steel(index)) for index in range(300)]
        questions += [("/classify/glass", {"composition": formula}) for formula in glasses]
        for path, sample in questions:
            body = json.dumps(sample)
            one, two = (numbers(json.loads(own.ask(path, body))) for own in (server, beside))
            assert one.keys() == two.keys(), path
            for place, value in one.items():
                # Answers are rounded to a few decimals.
                away = max(0.0, abs(value - two[place]) - 1.1e-3) / max(abs(two[place]), 1e-3)
                worst, compared = max(worst, away), compared + 1
        page.check(worst <= TOLERANCE, f"{compared} figures of {len(questions)} answers against a server on the CPU: "
                                       f"largest relative difference beyond rounding {worst:.1e}")
        body = json.dumps({"samples": [steel(index) for index in range(300)]})
        listed = json.loads(server.ask("/predict/steel", body))["predictions"]
        alone = [json.loads(server.ask("/predict/steel", json.dumps(steel(index)))) for index in range(0, 300, 10)]
        worst = 0.0
        for index, single in zip(range(0, 300, 10), alone):
            many, one = numbers(listed[index]), numbers(single)
            worst = max([worst, *(abs(many[place] - one[place]) / max(abs(one[place]), 1e-3) for place in one)])
        page.check(worst <= TOLERANCE, f"30 samples alone and among 300: largest relative difference {worst:.1e}")
        for name, own in (("`--device " + device + "`", server), ("CPU", beside)):
            for connections in (1, CONNECTIONS):
                rate, p50, p99, wrong = load(own, connections, 5)
                page.say(f"- {name}, {connections} connections of a client in Python: {rate:,.0f} requests/s, p50 "
                         f"{p50:.2f} ms, p99 {p99:.2f} ms, {len(wrong)} refused")
        page.say(f"- memory, under load: {server.memory()}")
        bulk(page, server, folder)
        page.say(f"- memory, after the table: {server.memory()}")
        status = server.stop()
        page.check(status == 0, f"SIGTERM: exit status {status}")
    finally:
        for own in (server, beside):
            if own.process.poll() is None:
                own.stop(signal.SIGKILL)
    page.say("")


def send_table(port, table, answered):
    """Sends a table and counts the rows of the answer. These come while rows go, so a thread of its own sends."""
    begin, connection = time.monotonic(), http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.putrequest("POST", "/predict/steel?model=steel-fatigue")
    connection.putheader("content-type", "text/csv")
    connection.putheader("content-length", str(table.stat().st_size))
    connection.endheaders()

    def body():
        with table.open("rb") as file:
            while chunk := file.read(1 << 18):
                connection.send(chunk)

    threading.Thread(target=body, daemon=True).start()
    answer, rows = connection.getresponse(), 0
    while chunk := answer.read(1 << 18):
        rows += chunk.count(b"\n")
    answered.put({"status": answer.status, "rows": rows - 1, "seconds": time.monotonic() - begin})


def bulk(page, server, folder):
    """A long table beside single requests."""
    _, quiet50, quiet99, _ = load(server, 1, 3, pause=0.003)
    table = folder / "million.csv"
    names = list(steel(0)["composition"]) + list(steel(0)["processing"])
    with table.open("w") as file:
        file.write("id," + ",".join(names) + "\n")
        for index in range(ROWS):
            own = steel(index)
            file.write(f"{index}," + ",".join(map(str, [*own["composition"].values(), *own["processing"].values()])) + "\n")
    # A process of its own: threads of Python would wait for each other.
    answered = multiprocessing.Queue()
    sender = multiprocessing.Process(target=send_table, args=(server.port, table, answered), daemon=True)
    sender.start()
    singles, begin = [], time.monotonic()
    while sender.is_alive() and time.monotonic() - begin < left(90):
        singles.append(load(server, 1, 1, pause=0.003))
    sender.kill()
    result = answered.get(timeout=1) if not answered.empty() else {}
    ok = result.get("status") == 200 and result.get("rows") == ROWS
    page.check(ok, f"a table of {ROWS:,} rows: " + (
        f"{result['rows']:,} rows in {result['seconds']:.1f} s, {result['rows'] / result['seconds']:,.0f} rows/s" if result
        else "not answered in time"))
    if singles:
        median = lambda values: sorted(values)[len(values) // 2]
        p50, p99 = median([own[1] for own in singles]), median([own[2] for own in singles])
        page.say(f"- single requests beside it: p50 {p50:.2f} ms, p99 {p99:.2f} ms (before: {quiet50:.2f}, {quiet99:.2f})")


def retraining(page, binary, device, folder):
    page.say("### Retraining while it serves; kill and restart", "")
    keys = folder / "keys.toml"
    create = [binary, "admin-key", "create", "--keys-file", str(keys), "--name", "checks", "--scopes", "read,train"]
    key = run(create, 30)[0].strip()
    models = folder / "own-models"
    models.mkdir()
    flags = ["--admin-keys-file", str(keys), "--models-dir", str(models), "--state-dir", str(folder / "state")]
    server = Server(binary, device, folder, flags)
    bearer = {"Authorization": f"Bearer {key}"}
    try:
        _, quiet50, quiet99, _ = load(server, 1, 3, pause=0.003)
        server.ask("/admin/models", RECIPE.read_bytes(), "application/toml", bearer)
        edge = "a-boundary-that-no-file-has"
        part = lambda head, body: f"--{edge}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + body + b"\r\n"
        options = json.dumps({"model": "steel-lab42"}).encode()
        body = part('name="options"', options) + part('name="data"; filename="data.csv"', DATA.read_bytes())
        server.ask("/admin/jobs", body + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}", bearer)
        singles, begin = [], time.monotonic()
        while True:
            job = json.loads(server.ask("/admin/jobs/1", None, headers=bearer))
            if job["state"] not in ("queued", "running") or time.monotonic() - begin > left(90):
                break
            singles.append(load(server, 1, 1, pause=0.003))
        seconds = time.monotonic() - begin
        page.check(job["state"] == "succeeded", f"a job on the same device: {job['state']} after {seconds:.0f} s")
        if singles:
            median = lambda values: sorted(values)[len(values) // 2]
            p50, p99 = median([own[1] for own in singles]), median([own[2] for own in singles])
            page.say(f"- single requests meanwhile: p50 {p50:.2f} ms, p99 {p99:.2f} ms (before: {quiet50:.2f}, {quiet99:.2f})")
        first = server.ask("/predict/steel", json.dumps(steel(1)))
        server.stop(signal.SIGKILL)
        server = Server(binary, device, folder, flags)
        again = server.ask("/predict/steel", json.dumps(steel(1)))
        page.check(first == again, f"killed and started again: ready after {server.seconds:.1f} s, the same answer")
        status = server.stop()
        page.check(status == 0, f"SIGTERM: exit status {status}")
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)
    page.say("- exit status 75 (a lost device) was not provoked: nothing but a fault of the GPU does it")
    page.say("")


def main():
    binary, out = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
    device = sys.argv[3] if len(sys.argv) > 3 else "cuda:0"
    out.mkdir(parents=True, exist_ok=True)
    page = Page(out / "gpu-checks.md")
    machine(page, binary, device)
    with tempfile.TemporaryDirectory() as folder:
        for check in (selftest, training, answers, retraining):
            try:
                check(page, binary, device, pathlib.Path(folder))
            except Exception as error:  # what the other checks see must not be lost
                page.check(False, f"{check.__name__} ended early: {type(error).__name__}: {error}")
    page.say(f"{time.monotonic() - START:.0f} s in all; " + (f"{len(page.failed)} checks failed." if page.failed else "every check passed."))
    sys.exit(1 if page.failed else 0)


if __name__ == "__main__":
    main()
