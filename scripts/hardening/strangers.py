"""Items 1 and 2: memory that is taken by whoever announces much, or reads nothing."""

import json
import time

from . import http2, wire
from .seen import item
from .server import Server

JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}
# Waiting bytes, unread answers and what the allocator keeps: what docs/operations.md adds up to, for these few connections.
MOST_MB = 300


def glasses(count):
    return json.dumps({"samples": [{"composition": "Cu60Zr40"}] * count}).encode()


def unread(server, path, fields, body, buffer=4096):
    """Sends a request and reads nothing of its answer."""
    stream = wire.connect(server.port, buffer)
    stream.sendall(wire.head("POST", path, {**fields, "content-length": len(body)}) + body)
    return stream


def endless(server, seconds):
    """A table that goes on until the server stops reading, by a client that reads nothing."""
    stream = wire.connect(server.port, 4096, timeout=seconds)
    stream.sendall(wire.head("POST", "/classify/glass", {"content-type": "text/csv", "content-length": 1 << 40}) + b"formula\n")
    end = time.monotonic() + seconds
    rows = b"Cu60Zr40\n" * 4000
    try:
        while time.monotonic() < end:
            stream.sendall(rows)
    except OSError:
        # It waits for us to read, or it has refused us.
        pass
    return stream


@item(1, "Announced bytes take no memory")
def announced(program, quick, seen):
    with Server(program) as server:
        server.post("/classify/glass", glasses(1))
        before, held = server.status("VmRSS"), []
        fields = {**JSON, "content-length": 2_000_000}
        for _ in range(3):
            connection = http2.Connection(server.port)
            for _ in range(200):
                connection.request("POST", "/predict/steel", fields, end=False)
            held.append(connection)
        for _ in range(100 if quick else 800):
            stream = wire.connect(server.port)
            stream.sendall(wire.head("POST", "/predict/steel", fields))
            held.append(stream)
        time.sleep(1.5)
        # Some 40 KB each for what a connection and a stream are; two megabytes each were announced.
        grown = server.status("VmHWM") - before
        seen.note(f"600 heads over 3 HTTP/2 connections and {len(held) - 3} over HTTP/1: +{grown:.0f} MB", grown < 100)
        answer = server.post("/classify/glass", glasses(1))
        seen.note(f"a small request meanwhile {answer.status}", answer.status == 200)
        for connection in held:
            connection.close()


@item(2, "Answers that nobody reads are bounded")
def answers(program, quick, seen):
    with Server(program) as server:
        lines = b"1\n" * 32_000
        held = [unread(server, "/classify/glass", NDJSON, lines) for _ in range(30 if quick else 60)]
        time.sleep(3)
        most = server.status("VmHWM")
        seen.note(f"{len(held)} unread answers to 64 kB of lines: {most:.0f} MB", most < MOST_MB)
        answer = server.post("/classify/glass", glasses(1))
        seen.note(f"others {answer.status}", answer.status == 200)
        for stream in held:
            stream.close()
        line = json.dumps({"composition": {f"X{number}": -1 for number in range(5000)}})
        told = len(server.post("/classify/glass", line + "\n", "application/x-ndjson").json().get("errors", []))
        seen.note(f"{told} errors told of a line with 5,000", 0 < told <= 101)
    with Server(program, "--keep-alive-seconds", "2") as server:
        connection = http2.Connection(server.port, window=0)
        for _ in range(20):
            connection.request("POST", "/classify/glass", JSON, glasses(500))
        ends, begin = 0, time.monotonic()
        for kind, *_ in connection.frames(8):
            # Pings are no reading: the connection is not idle, its streams are.
            ends += kind == http2.RST_STREAM
            if kind == http2.GOAWAY:
                ends = 20
                break
            try:
                connection.stream.sendall(http2.frame(http2.PING, 0, 0, bytes(8)))
            except OSError:
                ends = 20
                break
        seen.note(f"{ends} of 20 zero-window streams ended after {time.monotonic() - begin:.0f} s (keep-alive 2 s)", ends == 20)
    with Server(program, "--connections", "20") as server:
        idle = [http2.Connection(server.port, window=0) for _ in range(20)]
        for connection in idle:
            connection.request("POST", "/classify/glass", JSON, glasses(500))
        time.sleep(0.5)
        probe, took = wire.timed(server.get, "/livez", timeout=3)
        seen.note(f"all places taken: /livez {probe.status or 'unreachable'} ({took * 1e3:.0f} ms)", probe.status == 200)
        for connection in idle:
            connection.close()
    with Server(program) as server:
        held = [endless(server, 2 if quick else 5) for _ in range(4)]
        most = server.status("VmHWM")
        seen.note(f"4 unread bulk streams: {most:.0f} MB", most < MOST_MB)
        for stream in held:
            stream.close()
