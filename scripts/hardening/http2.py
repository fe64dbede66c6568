"""HTTP/2 by hand: frames that no library would send, in a few lines (RFC 9113, and RFC 7541 without compression)."""

import struct
import time

from . import wire

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    """A string as it is, no Huffman: its length with a prefix of 7 bits."""
    value, length = value.encode(), len(value.encode())
    if length < 127:
        return bytes([length]) + value
    size, rest = bytes([127]), length - 127
    while rest >= 128:
        size, rest = size + bytes([rest % 128 + 128]), rest // 128
    return size + bytes([rest]) + value


def fields(named):
    """Each as a literal with a new name that nobody indexes."""
    return b"".join(b"\0" + text(name) + text(str(value)) for name, value in named.items())


class Connection:
    def __init__(self, port, window=None, buffer=None):
        """`window`: what the server may send on each stream before we ask for more; 0 for nothing."""
        self.stream = wire.connect(port, buffer)
        self.next, self.rest = 1, b""
        wanted = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, wanted))
        # Before the server has said how much it takes that is 64 kB; more would be our mistake, not its refusal.
        for kind, _, stream, _ in self.frames(0.5):
            if kind == WINDOW_UPDATE and stream == 0:
                break

    def request(self, method, path, more=None, body=None, end=True):
        """Sends a head, and a small body where there is one; the number of its stream."""
        number, self.next = self.next, self.next + 2
        named = {":method": method, ":scheme": "http", ":path": path, ":authority": "test", **(more or {})}
        last = END_STREAM if end and body is None else 0
        out = frame(HEADERS, END_HEADERS | last, number, fields(named))
        if body is not None:
            pieces = [body[at:at + 16384] for at in range(0, len(body), 16384)] or [b""]
            for at, piece in enumerate(pieces):
                out += frame(DATA, END_STREAM if end and at == len(pieces) - 1 else 0, number, piece)
        self.stream.sendall(out)
        return number

    def frames(self, seconds):
        """(kind, flags, stream, payload) as they come, until the time is over or the connection; acknowledges settings."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            while len(self.rest) >= 9 and len(self.rest) >= 9 + (size := int.from_bytes(self.rest[:3], "big")):
                kind, flags = self.rest[3], self.rest[4]
                stream, payload = int.from_bytes(self.rest[5:9], "big"), self.rest[9:9 + size]
                self.rest = self.rest[9 + size:]
                if kind == SETTINGS and not flags & ACK:
                    self.stream.sendall(frame(SETTINGS, ACK, 0))
                yield kind, flags, stream, payload
            self.stream.settimeout(max(left, 0.01))
            try:
                more = self.stream.recv(1 << 16)
            except TimeoutError:
                return
            except OSError:
                more = b""
            if not more:
                # An end of the connection is told as a frame, too.
                yield GOAWAY, 0, 0, b""
                return
            self.rest += more

    def close(self):
        self.stream.close()
