"""Item 11: what is left lying about, and faults that should stay where they are."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import time

from . import wire
from .seen import item
from .server import Server, environment, lab_recipe, lab_rows


@item(11, "Nothing is left lying about, faults stay with their model")
def leftovers(program, quick, seen):
    with Server(program, admin=True, start=False) as server:
        swept(server, seen)
        strange_neighbours(server, seen)
        events_of_a_revoked_key(server, seen)
        heads(server, seen)
        deletion(server, seen)
        nested(server, seen, 400 if quick else 1000)
        killed_prediction(server, seen, 2 if quick else 4)


def swept(server, seen):
    """What killed processes left: names of old and new programs."""
    server.copy_version("second")
    left = [server.at("models", "glass", ".tmpA1b2C3"), server.at("models", "glass", ".staging-A1b2C3"),
            server.at("state", "jobs", "1", ".staging-A1b2C3")]
    for folder in left:
        os.makedirs(folder)
        with open(os.path.join(folder, "weights.safetensors"), "w") as file:
            file.write("half")
    # An earlier program changed `active` through a file beside it.
    left.append(server.at("models", "glass", ".tmpD4e5F6"))
    open(left[-1], "w").close()
    server.start()
    stay = [os.path.relpath(folder, server.folder) for folder in left if os.path.exists(folder)]
    seen.note(f"{len(stay)} of {len(left)} left-overs stay after a start" + (f" ({', '.join(stay)})" if stay else ""), not stay)


def strange_neighbours(server, seen):
    os.makedirs(server.at("models", "strange"))
    with open(server.at("models", "strange", "active"), "w") as file:
        file.write("missing\n")
    shutil.copytree(server.at("models", "glass", "second"), server.at("models", "glass", "hollow"))
    open(server.at("models", "glass", "hollow", "manifest.json"), "w").close()
    other = server.promote("second")
    seen.note(f"beside a model without its version, promotion of another {other.status}", other.status == 200)
    listed = server.ask_admin("GET", "/models/glass/versions").status
    seen.note(f"beside an empty manifest, the list {listed}", listed == 200)
    server.create_lab_model()
    job = server.start_job()
    state = server.job_ended(job.json()["id"])["state"] if job.status == 202 else job.status
    seen.note(f"a job {state}", state == "succeeded")


def events_of_a_revoked_key(server, seen):
    guest = server.create_key("guest", "read")
    endless = lab_recipe(100_000).replace(b'name = "steel-lab42"', b'name = "lab-endless"')
    server.ask_admin("POST", "/models", endless, kind="application/toml")
    kind, body = wire.form(options='{"model": "lab-endless", "folds": 2}', data=lab_rows())
    job = server.ask_admin("POST", "/jobs", body, kind=kind).json()
    with wire.connect(server.port, timeout=8) as stream:
        stream.sendall(wire.head("GET", f"/admin/jobs/{job['id']}/events", {"authorization": f"Bearer {guest}"}))
        stream.recv(1 << 16)
        server.command("admin-key", "revoke", "--keys-file", server.at("keys.toml"), "--name", "guest")
        begin, ended = time.monotonic(), False
        try:
            while not ended and time.monotonic() - begin < 8:
                piece = stream.recv(1 << 16)
                ended = not piece or piece.endswith(b"0\r\n\r\n")
        except TimeoutError:
            pass
    seen.note(f"events {'end' if ended else 'go on'} {time.monotonic() - begin:.0f} s after their key was revoked", ended)
    server.ask_admin("POST", f"/jobs/{job['id']}/cancel")
    server.job_ended(job["id"])


def heads(server, seen):
    for name, text in [("bare LF", b"GET /livez HTTP/1.1\nhost: test\n\n"),
                       ("two Hosts", b"GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n")]:
        with wire.connect(server.port, timeout=5) as stream:
            stream.sendall(text)
            first = stream.recv(4096).split(b"\r\n")[0].decode()
        seen.note(f"{name}: {first.removeprefix('HTTP/1.1 ') or 'cut'}", " 400" in first)


def ended_job(server):
    jobs = json.loads(server.ask_admin("GET", "/jobs").body)
    jobs = jobs["jobs"] if isinstance(jobs, dict) else jobs
    return next((job["id"] for job in jobs if job["state"] not in ("queued", "running")), 1)


def deletion(server, seen):
    job = f"/jobs/{ended_job(server)}"
    ended = server.ask_admin("DELETE", job + "?remove=true").status
    gone = server.ask_admin("GET", job).status
    seen.note(f"DELETE of an ended job {ended}, then {gone}", ended in (200, 204) and gone == 404)
    server.copy_version("old")
    removed = server.ask_admin("DELETE", "/models/glass/versions/old").status
    seen.note(f"of a candidate {removed}", removed in (200, 204) and not os.path.exists(server.at("models", "glass", "old")))
    told = server.command("serve", "--help").stdout
    seen.note("retention " + ("has knobs" if "--keep-jobs" in told and "--keep-candidates" in told else "has no knob"), "--keep-jobs" in told)


def nested(server, seen, folders):
    tar = server.at("nested.tar")
    with tarfile.open(tar, "w") as archive:
        for depth in range(1, folders + 1):
            folder = tarfile.TarInfo("/".join(["d"] * depth))
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder, io.BytesIO())
    done, took = wire.timed(server.command, "models", "import", "--models-dir", server.at("imported"), tar, check=False)
    seen.note(f"import of {folders} nested folders {took:.1f} s (exit {done.returncode})", took < 2 and done.returncode == 1)


def killed_prediction(server, seen, kills):
    """Killed while it writes, again and again, and then not."""
    folder = server.at("predicted")
    os.makedirs(folder)
    source = server.at("many.csv")
    with open(source, "w") as file:
        file.write("formula\n" + "Cu60Zr40\n" * 400_000)
    command = [server.program.path, "predict", "--models-dir", server.program.models, "--model", "glass", "--device", "cpu",
               "--input", source, "--output", os.path.join(folder, "answers.csv")]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        time.sleep(0.7)
        process.kill()
        process.wait()
    with open(source, "w") as file:
        file.write("formula\nCu60Zr40\n")
    subprocess.run(command, check=True, capture_output=True, env=environment())
    left = len(os.listdir(folder)) - 1
    seen.note(f"{left} files beside the output of `predict` killed {kills} times and run once", left == 0)
