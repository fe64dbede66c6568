"""HTTP/1 by hand: clients that a library would not let us be."""

import json
import socket
import time


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def field(self, name):
        return self.fields.get(name)


def connect(port, buffer=None, timeout=20):
    """`buffer`: bytes that the system keeps for us, for clients that do not read."""
    stream = socket.socket()
    if buffer:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    stream.settimeout(timeout)
    stream.connect(("127.0.0.1", port))
    return stream


def head(method, path, fields=None, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "host: test"]
    lines += [f"{name}: {value}" for name, value in (fields or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_all(stream):
    """All bytes to the end, and whether that was an end or a reset."""
    text = b""
    while True:
        try:
            more = stream.recv(1 << 16)
        except ConnectionError:
            return text, False
        if not more:
            return text, True
        text += more


def parse(text):
    """The answer in the bytes of a connection that was closed after it; None where there is none."""
    front, cut, body = text.partition(b"\r\n\r\n")
    if not cut or not front.startswith(b"HTTP/1."):
        return None
    first, *rest = front.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if fields.get("transfer-encoding") == "chunked":
        body = unchunk(body)
    return Answer(int(first.split()[1]), fields, body)


def unchunk(text):
    body = b""
    while text:
        size, _, text = text.partition(b"\r\n")
        size = int(size.split(b";")[0] or b"0", 16)
        if size == 0:
            break
        body, text = body + text[:size], text[size + 2:]
    return body


def ask(port, method, path, body=None, fields=None, timeout=60):
    """One request on a connection of its own; status 0 where no answer came."""
    body = body.encode() if isinstance(body, str) else body
    fields = {**(fields or {}), "connection": "close"}
    if body is not None or method == "POST":
        fields["content-length"] = len(body or b"")
    if body is None:
        fields.pop("content-type", None)
    try:
        with connect(port, timeout=timeout) as stream:
            stream.sendall(head(method, path, fields) + (body or b""))
            answer = parse(read_all(stream)[0])
    except OSError as error:
        return Answer(0, {}, type(error).__name__.encode())
    return answer or Answer(0, {}, b"no answer")


def timed(function, *arguments, **more):
    begin = time.monotonic()
    result = function(*arguments, **more)
    return result, time.monotonic() - begin


def form(**parts):
    """Content type and bytes of a form; `data` is a file."""
    text = b""
    for name, value in parts.items():
        value = value.encode() if isinstance(value, str) else value
        file = '; filename="rows.csv"' if name == "data" else ""
        text += f'--cut\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + value + b"\r\n"
    return "multipart/form-data; boundary=cut", text + b"--cut--\r\n"
