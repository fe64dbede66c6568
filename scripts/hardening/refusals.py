"""Items 13, 14 and 17: what a client hears that still sends, that speaks HTTP/1.0, or that has closed its half."""

import http.client
import signal
import socket
import time

from . import http2, wire
from .fairness import STEEL
from .seen import item
from .server import Server

# Path, content type, what must be heard; the last wants a wrong key.
REFUSALS = [
    ("/predict/steel", "application/json", 413),
    ("/nothing/here", "application/json", 404),
    ("/predict/steel?model=none", "text/csv", 404),
    ("/predict/steel", "image/png", 415),
    ("/admin/jobs", "multipart/form-data; boundary=b", 401),
]


def heard(port, path, kind, size, fill=b" "):
    """The status that Python's http.client sees: it sends everything before it reads anything."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, fill * (size // len(fill)), {"content-type": kind, "authorization": "Bearer mcvn_wrong"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


@item(13, "Refusals reach whoever still sends")
def refusals(program, quick, seen):
    rounds = 3 if quick else 10
    with Server(program, admin=True) as server:
        for path, kind, status in REFUSALS:
            came = [heard(server.port, path, kind, 5_000_000) for _ in range(rounds)]
            seen.note(f"{status} heard {came.count(status)} of {rounds}", came.count(status) == rounds)
        # A header row that cannot be understood, and rows behind it.
        came = [heard(server.port, "/classify/glass", "text/csv", 5_000_000, b"Quux,What\n1,2\n") for _ in range(rounds)]
        seen.note(f"422 heard {came.count(422)} of {rounds}", came.count(422) == rounds)
        seen.note(*over_http2(server))


def over_http2(server):
    connection = http2.Connection(server.port)
    number = connection.request("POST", "/predict/steel", {"content-type": "application/json", "content-length": 5_000_000}, end=False)
    answered = code = None
    for kind, flags, stream, payload in connection.frames(8):
        if stream == number and kind in (http2.HEADERS, http2.DATA) and flags & http2.END_STREAM:
            answered = True
            # The rest of the body is what a client would go on with.
            connection.stream.sendall(http2.frame(http2.DATA, http2.END_STREAM, number, b" " * 1000))
        if stream == number and kind == http2.RST_STREAM:
            code = int.from_bytes(payload, "big")
            break
        if answered and kind == http2.GOAWAY:
            break
        if answered and flags & http2.END_STREAM:
            connection.stream.settimeout(0.5)
            break
    connection.close()
    good = bool(answered) and code in (None, 0)
    return f"HTTP/2 {'answered' if answered else 'not answered'}, reset {'with code ' + str(code) if code is not None else 'none'}", good


def ended(program, version):
    """How an answer ends whose server is told to stop: "quiet" where it looks whole."""
    with Server(program, "--drain-seconds", "0.5") as server, wire.connect(server.port) as stream:
        fields = {"content-type": "text/csv", "content-length": 1 << 30}
        stream.sendall(wire.head("POST", "/classify/glass", fields, version) + b"formula\n" + b"Cu60Zr40\n" * 20_000)
        first = stream.recv(1 << 16)
        # Bytes that nobody has read yet would make the system reset the connection, and so hide a quiet end.
        time.sleep(1)
        server.send(signal.SIGTERM)
        text, quiet = wire.read_all(stream)
        if b" 200 " not in first.split(b"\r\n")[0]:
            return "refused"
        return "quiet" if quiet and (version == "1.0" or (first + text).endswith(b"0\r\n\r\n")) else "failure"


@item(14, "A table that is cut never looks whole")
def cut(program, quick, seen):
    rounds = 3 if quick else 8
    for version in ("1.0", "1.1"):
        told = [ended(program, version) for _ in range(rounds)]
        quiet = told.count("quiet")
        seen.note(f"HTTP/{version}, SIGTERM in the middle: {quiet} of {rounds} end quietly" + (", refused" if "refused" in told else ""), quiet == 0)
    with Server(program) as server:
        table = b"formula\n" + b"Cu60Zr40\n" * 4321
        with wire.connect(server.port) as stream:
            stream.sendall(wire.head("POST", "/classify/glass", {"content-type": "text/csv", "te": "trailers", "connection": "close",
                                                                 "transfer-encoding": "chunked"}))
            stream.sendall(b"%x\r\n" % len(table) + table + b"\r\n0\r\n\r\n")
            text = wire.read_all(stream)[0]
        told = b"mcvn-rows: 4321" in text
        seen.note("the number of rows is " + ("told at the end" if told else "not told"), told)


@item(17, "Whoever closes his half is answered")
def half(program, quick, seen):
    with Server(program) as server:
        table = "formula\n" + "Cu60Zr40\n" * 2000
        for name, path, kind, body in [("JSON", "/predict/steel", "application/json", STEEL), ("a table", "/classify/glass", "text/csv", table)]:
            rounds = 5
            came = 0
            for _ in range(rounds):
                with wire.connect(server.port, timeout=8) as stream:
                    stream.sendall(wire.head("POST", path, {"content-type": kind, "content-length": len(body)}) + body.encode())
                    stream.shutdown(socket.SHUT_WR)
                    try:
                        text, _ = wire.read_all(stream)
                    except TimeoutError:
                        text = b""
                    came += text.startswith(b"HTTP/1.1 200")
            seen.note(f"{name} answered {came} of {rounds}", came == rounds)
