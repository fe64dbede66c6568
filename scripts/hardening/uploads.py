"""Items 8, 10 and 20: what a key for training may cost, and which program a job runs."""

import os
import shutil
import time

from . import wire
from .seen import item
from .server import Server, lab_recipe, lab_rows

MOST_GROWTH_MB = 100


@item(8, "A train key does not exhaust the server")
def exhausting(program, quick, seen):
    # An old server takes five to ninety times these sizes.
    short, sparse, headers = (10, 300, 60) if quick else (20, 600, 150)
    header, row = lab_rows().splitlines(keepends=True)[:2]
    many = header + row * (short * 1_000_000 // len(row))
    trials = [
        (f"{short} MB of short rows", lambda server: server.start_job(many, timeout=120)),
        (f"{sparse} MB sparse file", lambda server: named(server, sparse)),
        (f"{headers} MB of part headers", lambda server: part_headers(server, headers)),
    ]
    for name, trial in trials:
        with Server(program, admin=True) as server:
            server.create_lab_model()
            before = server.status("VmHWM")
            answer = trial(server)
            time.sleep(0.3)
            grown = server.status("VmHWM") - before
            # Refused in words, with little memory of the server's own; a reset would hide the reason.
            seen.note(f"{name}: +{grown:.0f} MB ({answer.status or 'cut'})", grown < MOST_GROWTH_MB and 400 <= answer.status < 500)
    with Server(program, admin=True, start=False) as server:
        knob = "job-memory" in server.command("serve", "--help").stdout
        seen.note("memory of the child has " + ("a knob" if knob else "no knob"), knob)


def named(server, megabytes):
    with open(server.at("data", "sparse.csv"), "wb") as file:
        file.write(lab_rows())
        file.truncate(megabytes * 1_000_000)
    return server.ask_admin("POST", "/jobs", {"model": "steel-lab42", "data": "sparse.csv"}, timeout=120)


def part_headers(server, megabytes):
    fields = {"authorization": f"Bearer {server.key}", "content-type": "multipart/form-data; boundary=b", "content-length": megabytes * 1_000_000}
    with wire.connect(server.port) as stream:
        stream.sendall(wire.head("POST", "/admin/jobs", {**fields, "connection": "close"}))
        stream.sendall(b'--b\r\ncontent-disposition: form-data; name="data"\r\n')
        piece = b"x: y\r\n" * 100_000
        try:
            for _ in range(megabytes * 1_000_000 // len(piece)):
                stream.sendall(piece)
        except OSError:
            pass
        try:
            return wire.parse(wire.read_all(stream)[0]) or wire.Answer(0, {}, b"")
        except OSError:
            return wire.Answer(0, {}, b"")


@item(10, "Numbers of a recipe have bounds")
def recipes(program, quick, seen):
    plain = lab_recipe().decode()
    forest = plain + '\n[[committee]]\nkind = "forest"\ntrees = 4611686018427387904\nmin_leaf = 2\n'
    scaled = lambda clip: plain.replace("[network]", f"[scaling]\nrow = {{ standard = {{ clip = {clip} }} }}\n\n[network]")
    changes = [
        ("trees 2^62", forest, "trees"),
        ("clip nan", scaled("nan"), "clip"),
        ("clip -1", scaled("-1.0"), "clip"),
        ("members 1e11", plain.replace("members = 1\n", "members = 100000000000\n"), "members"),
        ("row 10^9", plain.replace("row = [24]", "row = [1000000000]"), "row"),
        ("10,000 layers", plain.replace("row = [24]", f"row = [{', '.join(['24'] * 10_000)}]"), "row"),
        ("steps 10^15", plain.replace("steps = 120", "steps = 1000000000000000"), "steps"),
    ]
    with Server(program, admin=True) as server:
        for number, (name, text, field) in enumerate(changes):
            text = text.replace('name = "steel-lab42"', f'name = "lab-{number}"')
            answer = server.ask_admin("POST", "/models", text, kind="application/toml")
            # A message that names field and limit; one of the parser says "TOML".
            told = answer.status == 422 and field in answer.text and "TOML" not in answer.text
            seen.note(f"{name} {answer.status}", told)
        alive = server.get("/livez").status
        seen.note(f"/livez {alive}", alive == 200)


@item(20, "A job runs the program that runs")
def replaced(program, quick, seen):
    with Server(program, admin=True, start=False) as server:
        # A copy: what a package upgrade replaces.
        copy = server.at("mcvn")
        shutil.copy(program.path, copy)
        server.program = program._replace(path=copy)
        server.start()
        server.create_lab_model()
        with open(server.at("new"), "w") as file:
            file.write("#!/bin/sh\nexit 3\n")
        os.chmod(server.at("new"), 0o755)
        os.rename(server.at("new"), copy)
        answer = server.start_job()
        if answer.status != 202:
            seen.note(f"job {answer.status}: {answer.text[:120]}", False)
            return
        job = server.job_ended(answer.json()["id"])
        seen.note(f"job after the file was replaced: {job['state']}", job["state"] == "succeeded")
