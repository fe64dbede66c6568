#!/usr/bin/env python3
"""How much slower are answers while a retraining runs? A ratio, measured in one run.

usage: scripts/p99_during_job.py [RECIPE CSV]      (default: examples/steel-lab42, trained for longer)

Starts target/release/mcvn with admin keys in a folder of its own, asks one steel after the other over one
connection, first idle, then while a job runs on the same machine, and prints p50 and p99 of both.
"""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time

SECONDS = 10
STEEL = json.dumps({
    "composition": {"C": 0.4, "Si": 0.25, "Mn": 0.8, "P": 0.02, "S": 0.02, "Ni": 0.1, "Cr": 1.0, "Cu": 0.1, "Mo": 0.2},
    "processing": {"normalizing_temperature": 870, "quenching_temperature": 855, "tempering_temperature": 600},
})


def ask_for(port, seconds):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        connection.request("POST", "/predict/steel", STEEL, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - begin)
        assert answer.status == 200, answer.status
        time.sleep(0.002)
    times.sort()
    return [times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99)] + [len(times)]


def main():
    recipe, data = sys.argv[1:] or ("examples/steel-lab42/recipe.toml", "examples/steel-lab42/measurements.csv")
    program = os.path.abspath("target/release/mcvn")
    with tempfile.TemporaryDirectory() as folder:
        keys = os.path.join(folder, "keys.toml")
        create = [program, "admin-key", "create", "--keys-file", keys, "--name", "bench", "--scopes", "read,train"]
        key = subprocess.run(create, check=True, capture_output=True, text=True).stdout.strip()
        server = subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0", "--admin-keys-file", keys, "--state-dir", f"{folder}/state",
             "--models-dir", "models", "--models-dir", f"{folder}/models", "--log-level", "info"],
            stderr=subprocess.PIPE, text=True, env={**os.environ, "RUST_LOG": "info"})
        try:
            os.makedirs(f"{folder}/models", exist_ok=True)
            port = None
            for line in server.stderr:
                if found := re.search(r"listening on http://127.0.0.1:(\d+)", line):
                    port = int(found.group(1))
                if "ready" in line:
                    break
            # Somebody must read the log, or the server would wait.
            import threading
            threading.Thread(target=lambda: [None for _ in server.stderr], daemon=True).start()
            text = open(recipe).read()
            name = re.search(r'^name = "(.*)"', text, re.M).group(1) + "-bench"
            text = re.sub(r'^name = .*$', f'name = "{name}"', text, count=1, flags=re.M)
            text = re.sub(r"^default = true$", "", text, flags=re.M)
            text = re.sub(r"^steps = .*$", "steps = 100000", text, flags=re.M)
            curl = ["curl", "-sf", "-H", f"Authorization: Bearer {key}"]
            url = f"http://127.0.0.1:{port}/admin"
            open(f"{folder}/recipe.toml", "w").write(text)
            subprocess.run(curl + [f"{url}/models", "-H", "content-type: application/toml", "--data-binary",
                                   f"@{folder}/recipe.toml"], check=True, capture_output=True)
            ask_for(port, 2)
            idle = ask_for(port, SECONDS)
            options = json.dumps({"model": name})
            subprocess.run(curl + [f"{url}/jobs", "-F", f"options={options}", "-F", f"data=@{data}"], check=True, capture_output=True)
            time.sleep(2)
            busy = ask_for(port, SECONDS)
            job = json.loads(subprocess.run(curl + [f"{url}/jobs/1"], check=True, capture_output=True).stdout)
            assert job["state"] == "running", job["state"]
        finally:
            server.terminate()
            server.wait(30)
    print(f"{os.cpu_count()} cores; {idle[2]} and {busy[2]} requests, one at a time")
    print(f"idle:          p50 {idle[0]:.3f} ms   p99 {idle[1]:.3f} ms")
    print(f"while a job runs: p50 {busy[0]:.3f} ms   p99 {busy[1]:.3f} ms")
    print(f"ratio:         p50 {busy[0] / idle[0]:.2f}      p99 {busy[1] / idle[1]:.2f}")


if __name__ == "__main__":
    main()
