"""A server of one binary in a process and a folder of its own."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple

from . import wire

Program = namedtuple("Program", "path models")

LAB = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "steel-lab42")


def prepare():
    """For a process that starts servers, or holds connections."""
    # Thousands of connections want as many descriptors; a server that is started afterwards gets them, too.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Whoever is ended ends his servers, and removes his folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def environment(more=None):
    """Without this shell's knobs: a server is to run with its defaults."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MCVN_") and name != "RUST_LOG"}
    return {**kept, **(more or {})}


class Server:
    """`admin`: with a key for everything, a folder of models of its own (the last, which is written to) and a data folder."""

    def __init__(self, program, *flags, admin=False, env=None, read_log=True, folder=None, start=True):
        self.program, self.flags, self.admin, self.env, self.read_log = program, list(flags), admin, env, read_log
        # A folder that is given is somebody else's to remove.
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="mcvn-hardening-")
        self.process = self.port = self.key = None
        if admin:
            for name in ("models", "data"):
                os.makedirs(self.at(name), exist_ok=True)
            self.key = self.create_key("lab", "read,train,promote")
        if start:
            self.start()

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def create_key(self, name, scopes, file="keys.toml"):
        return self.command("admin-key", "create", "--keys-file", self.at(file), "--name", name, "--scopes", scopes).stdout.strip()

    def command(self, *arguments, check=True, timeout=120):
        """Runs the binary once."""
        done = subprocess.run([self.program.path, *arguments], capture_output=True, text=True, env=environment(), timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"{arguments[:2]}: {done.stderr[-300:]}")
        return done

    def start(self):
        command = [self.program.path, "serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--models-dir", self.program.models]
        if self.admin:
            command += ["--models-dir", self.at("models"), "--admin-keys-file", self.at("keys.toml")]
            command += ["--state-dir", self.at("state"), "--data-dir", self.at("data")]
        self.lines = []
        # SIGXFSZ stays ignored (item 6 fills the disk by a limit), as Python has it and its children do not.
        self.process = subprocess.Popen(command + self.flags, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        env=environment(self.env), restore_signals=False)
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found.group(1))
                break
        else:
            raise RuntimeError("no start: " + "".join(self.lines)[-500:])
        if self.read_log:
            # Somebody must read: an old server waits for whoever does not.
            reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True)
            reader.start()
        end = time.monotonic() + 60
        while self.get("/readyz").status != 200:
            if time.monotonic() > end:
                raise RuntimeError("never ready")
            time.sleep(0.05)

    def log(self):
        time.sleep(0.3)
        return "".join(self.lines)

    def get(self, path, **more):
        return wire.ask(self.port, "GET", path, **more)

    def post(self, path, body, kind="application/json", **more):
        fields = {"content-type": kind, **more.pop("fields", {})}
        return wire.ask(self.port, "POST", path, body if isinstance(body, (bytes, str)) else json.dumps(body), fields, **more)

    def ask_admin(self, method, path, body=None, key=None, kind="application/json", fields=None, timeout=60):
        text = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        fields = {"authorization": f"Bearer {key or self.key}", "content-type": kind, **(fields or {})}
        return wire.ask(self.port, method, "/admin" + path, text, fields, timeout=timeout)

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (.+)$", self.get("/metrics").text, re.M)
        return float(found.group(1)) if found else None

    def status(self, name):
        """MB of a line of /proc/PID/status, such as VmRSS."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(rf"{name}:\s+(\d+)", file.read()).group(1)) * 1024 / 1e6

    def cpu(self):
        """Seconds of processor that it has used."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, number):
        self.process.send_signal(number)

    def ended(self, seconds):
        """Its exit status, or None where it lives on."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self, number=signal.SIGKILL):
        if self.process:
            self.process.send_signal(number)
            if self.ended(25) is None:
                self.process.kill()
                self.process.wait()
            self.process.stderr.close()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    # What administration needs again and again.

    def active(self, model="glass"):
        for folder in (self.at("models"), self.program.models):
            try:
                with open(os.path.join(folder, model, "active")) as file:
                    return file.read().split()[0]
            except FileNotFoundError:
                pass
        return None

    def answers(self):
        """The version of `glass` that answers."""
        return self.post("/classify/glass", {"composition": "Fe80B20"}).json()["model"]["version"]

    def copy_version(self, name, model="glass", change=None):
        """Another version of a shipped model: the same under another name, or what `change(folder, manifest)` makes of it."""
        with open(os.path.join(self.program.models, model, "active")) as file:
            shipped = file.read().split()[0]
        place = self.at("models", model, name)
        shutil.copytree(os.path.join(self.program.models, model, shipped), place)
        with open(os.path.join(place, "manifest.json")) as file:
            manifest = json.load(file)
        manifest["version"] = name
        if change:
            change(place, manifest)
        with open(os.path.join(place, "manifest.json"), "w") as file:
            json.dump(manifest, file)
        return place

    def promote(self, version, model="glass", **more):
        return self.ask_admin("POST", f"/models/{model}/versions/{version}/promote", {"force": True, "reason": "trial"}, **more)

    def audit(self):
        return self.ask_admin("GET", "/audit").json()["records"]

    def create_lab_model(self, **more):
        return self.ask_admin("POST", "/models", lab_recipe(), kind="application/toml", **more)

    def start_job(self, rows=None, **more):
        kind, body = wire.form(options='{"model": "steel-lab42", "folds": 2}', data=lab_rows() if rows is None else rows)
        return self.ask_admin("POST", "/jobs", body, kind=kind, **more)

    def job_ended(self, number, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            job = self.ask_admin("GET", f"/jobs/{number}").json()
            if job["state"] not in ("queued", "running"):
                return job
            time.sleep(0.2)
        return job


def lab_recipe(steps=120):
    """The example's, quick enough to be trained here."""
    with open(os.path.join(LAB, "recipe.toml"), encoding="utf-8") as file:
        return file.read().replace("members = 2", "members = 1").replace("steps = 300", f"steps = {steps}").encode()


def lab_rows():
    with open(os.path.join(LAB, "measurements.csv"), "rb") as file:
        return file.read()
