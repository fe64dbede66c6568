"""Items 3 and 4: who is slow, or makes many mistakes, takes time and room from others."""

import json
import threading
import time

from . import wire
from .seen import item
from .server import Server

STEEL = json.dumps({
    "composition": {"C": 0.4, "Si": 0.25, "Mn": 0.8, "P": 0.02, "S": 0.02, "Ni": 0.1, "Cr": 1.0, "Cu": 0.1, "Mo": 0.2},
    "processing": {"normalizing_temperature": 870, "quenching_temperature": 855, "tempering_temperature": 600},
})


@item(3, "Slow bodies keep nobody out")
def slow_bodies(program, quick, seen):
    with Server(program) as server:
        fields = {"content-type": "application/json", "content-length": 2_000_000}
        held = []
        for _ in range(2):
            stream = wire.connect(server.port)
            stream.sendall(wire.head("POST", "/predict/steel", fields) + b" " * 1_999_999)
            held.append(stream)
        time.sleep(0.3)
        count = 50 if quick else 200
        answered = sum(server.post("/predict/steel", STEEL).status == 200 for _ in range(count))
        ready = server.get("/readyz").status
        seen.note(f"{answered} of {count} requests of others answered, /readyz {ready}", answered == count)
        # A large body that is whole gets its room from those that are late, in time.
        time.sleep(2.5)
        large = server.post("/predict/steel", b" " * 1_500_000 + STEEL.encode()).status
        seen.note(f"a large whole one {large}", large == 200)
        for stream in held:
            stream.close()


def wrong(bytes_, key, value):
    """An object of wrong entries, of about so many bytes."""
    count = bytes_ // len(json.dumps({f"{key}0000000": value}))
    return {f"{key}{number:07}": value for number in range(count)}


def processor(server, path, body, kind):
    """Seconds of the server's processor for one request, the mean of a few where it is quick."""
    rounds, begin = 0, server.cpu()
    while rounds < 5 and server.cpu() - begin < 1:
        answer = server.post(path, body, kind, timeout=40)
        rounds += 1
    return (server.cpu() - begin) / rounds, answer.status


@item(4, "Mistakes take linear time, drips yield")
def mistakes(program, quick, seen):
    size = 470_000 if quick else 1_900_000
    amounts = json.dumps({"composition": wrong(size, "X", "x")})
    steel = json.loads(STEEL)
    parameters = json.dumps({**steel, "processing": wrong(size, "p", 1)})
    fields = json.dumps({**steel, **wrong(size, "f", 1)})
    many = json.dumps({"samples": [{"composition": wrong(size // 100, "X", -1)} for _ in range(100)]})
    line = json.dumps({**steel, "processing": wrong(min(size, 1_000_000), "p", 1)}) + "\n"
    kinds = [("amounts", amounts, "application/json"), ("parameters", parameters, "application/json"),
             ("fields", fields, "application/json"), ("samples", many, "application/json"), ("NDJSON line", line, "application/x-ndjson")]
    with Server(program) as server:
        for name, body, kind in kinds:
            spent, status = processor(server, "/predict/steel", body, kind)
            # 50 ms, and a tick of the clock that counts them.
            seen.note(f"{len(body) / 1e6:.1f} MB of wrong {name} {spent * 1e3:.0f} ms ({status or 'none'})", spent <= 0.06)
            if spent > 1:
                # It may work on after its answer: others are measured without.
                server.end()
                server.start()
    with Server(program) as server:
        bodies = [threading.Thread(target=server.post, args=("/predict/steel", parameters)) for _ in range(2)]
        for body in bodies:
            body.start()
        time.sleep(0.1)
        answer, took = wire.timed(server.post, "/classify/glass", "formula\nCu60Zr40\n", "text/csv", timeout=40)
        seen.note(f"a short table beside two of them {took:.2f} s ({answer.status})", took < 1 and answer.status == 200)
        server.end()
        for body in bodies:
            body.join()
    with Server(program) as server:
        drips(server, seen)


def drips(server, seen):
    """Four tables that send a byte now and then hold all places, unless they yield to who is faster."""
    held = []
    for _ in range(4):
        stream = wire.connect(server.port)
        stream.sendall(wire.head("POST", "/classify/glass", {"content-type": "text/csv", "content-length": 1 << 30}) + b"formula\n")
        held.append(stream)
    for _ in range(25):
        for stream in held:
            try:
                stream.send(b"C")
            except OSError:
                pass
        time.sleep(0.1)
    table = "formula\n" + "Cu60Zr40\n" * 10_000
    answered = sum(server.post("/classify/glass", table, "text/csv").status == 200 for _ in range(12))
    seen.note(f"beside 4 dripping streams {answered} of 12 tables answered", answered == 12)
    for stream in held:
        stream.close()
