"""Items 16 and 19: a log that nobody reads, lines that other programs read, and variables that mean nothing."""

import json
import signal
import subprocess
import time

from . import wire
from .seen import item
from .server import Server, environment


def flood(server, wanted):
    """How many of so many requests are answered, a hundred at a time on one connection."""
    answered = 0
    with wire.connect(server.port, timeout=4) as stream:
        try:
            while answered < wanted:
                stream.sendall(wire.head("GET", "/" + "x" * 200) * 100)
                came, rest = 0, b""
                while came < 100:
                    piece = stream.recv(1 << 18)
                    if not piece:
                        return answered
                    # A status line may be cut in two.
                    rest += piece
                    came += rest.count(b"HTTP/1.1 404")
                    rest = rest[-11:]
                answered += came
        except OSError:
            pass
    return answered


@item(16, "Nobody need read the log")
def unread(program, quick, seen):
    with Server(program, read_log=False) as server:
        # A line each: more than a pipe holds, and (not in a hurry) than a queue of 128,000 lines before it.
        wanted = 2_000 if quick else 140_000
        answered = flood(server, wanted)
        probe = server.get("/livez", timeout=3).status
        seen.note(f"{answered} of {wanted} answered, then /livez {probe or 'hangs'}", answered == wanted and probe == 200)
        dropped = server.metric("mcvn_log_lines_dropped_total") if probe else None
        seen.note(f"dropped lines {'counted' if dropped is not None else 'not counted'}", dropped is not None)
        server.send(signal.SIGTERM)
        code = server.ended(8)
        seen.note(f"SIGTERM: {'exit ' + str(code) if code is not None else 'ignored'}", code == 0)


def twice(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError("a key is there twice")
    return dict(pairs)


@item(19, "The log and the start say what they mean")
def lines(program, quick, seen):
    with Server(program, "--log-format", "json", admin=True, env={"MCVN_TRUSTED_PROXIES": "1"}) as server:
        guest = server.create_key("guest", "read")
        server.get("//models/")
        server.get("/models", fields={"x-forwarded-for": "6.6.6.6, 192.0.2.7"})
        # Refused for want of a scope: a line of the audit log.
        server.ask_admin("POST", "/models/glass/rollback", {}, key=guest)
        raw(server, seen)
        records, bad = [], 0
        for line in server.log().splitlines():
            try:
                records.append(json.loads(line, object_pairs_hook=twice))
            except ValueError:
                bad += 1
        seen.note(f"{bad} of {bad + len(records)} lines with a key twice", bad == 0)
        text = server.log()
        seen.note("client's address " + ("in the log" if "127.0.0.1" in text.replace("listening on http://127.0.0.1", "") else "not in the log")
                  + (", forwarded one too" if "192.0.2.7" in text else ", forwarded one not"), '"127.0.0.1"' in text and "192.0.2.7" in text)
        seen.note("path of a 404 " + ("in the log" if "//models/" in text else "not in the log"), "//models/" in text)
        told = "//models" in server.get("//models/").text
        seen.note("and " + ("in the answer" if told else "not in the answer"), told)
    settings(program, seen)
    with Server(program) as server:
        stream = wire.connect(server.port)
        stream.sendall(wire.head("POST", "/predict/steel", {"content-type": "application/json", "content-length": 10}) + b"{")
        server.get("/livez")
        begin = time.monotonic()
        for _ in range(3):
            try:
                server.send(signal.SIGINT)
            except ProcessLookupError:
                break
            time.sleep(0.2)
        code, took = server.ended(3), time.monotonic() - begin
        seen.note(f"three Ctrl-C: {f'exit {code}' if code is not None else 'goes on'}", code is not None and took < 3)
        stream.close()


def raw(server, seen):
    """What the protocol layer itself refuses."""
    bad = {"400": b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
           "414": b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
           "431": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x%d: y\r\n" % number for number in range(200)) + b"\r\n"}
    for status, text in bad.items():
        with wire.connect(server.port, timeout=5) as stream:
            try:
                stream.sendall(text)
                answer = wire.parse(wire.read_all(stream)[0])
            except OSError:
                answer = None
        if not answer:
            seen.note(f"{status}: no answer", False)
            continue
        problem = answer.field("content-type") == "application/problem+json" and bool(answer.field("x-request-id"))
        # A head that is too large is 431 wherever it is too large: servers differ on 414.
        seen.note(f"{answer.status} {'problem' if problem else 'empty'}", problem and str(answer.status) in (status, "431"))
    count = sum(float(line.rsplit(" ", 1)[1]) for line in server.get("/metrics").text.splitlines()
                if line.startswith("mcvn_http_requests_total") and ('status="400"' in line or 'status="414"' in line or 'status="431"' in line))
    seen.note(f"{count:.0f} of 3 counted", count >= 3)


def settings(program, seen):
    def printed(env, *flags):
        command = [program.path, "serve", "--print-config", *flags]
        return subprocess.run(command, capture_output=True, text=True, env=environment(env), timeout=20)

    for level in ("warning", "critical"):
        # The level is looked at when the log is started, not when it is printed.
        command = [program.path, "serve", "--listen", "127.0.0.1:0", "--device", "cpu", "--models-dir", program.models, "--log-level", level]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        try:
            code = process.wait(2)
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
            process.wait()
        seen.note(f"level {level} {'refused' if code else 'accepted'}", bool(code))
    wrong = printed({"MCVN_LISTEM": "0.0.0.0:9"})
    told = "MCVN_LISTEM" in wrong.stderr and "MCVN_LISTEN" in wrong.stderr
    seen.note("MCVN_LISTEM " + ("warned of" if told else "not warned of"), told)
    empty = printed({"MCVN_DATA_DIR": "", "MCVN_LISTEN": "", "MCVN_LOG_LEVEL": "", "MCVN_ADMIN_LISTEN": ""})
    good = empty.returncode == 0 and 'listen = "127.0.0.1:8080"' in empty.stdout
    seen.note("empty variables " + ("not given" if good else "taken as given"), good)
