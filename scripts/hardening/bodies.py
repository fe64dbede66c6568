"""Items 12 and 22: cells that a spreadsheet runs, and bodies as other programs send them."""

import gzip
import zlib

from . import wire
from .seen import item
from .server import Server

GLASS = b'{"composition": "Cu60Zr40"}'


@item(12, "A spreadsheet runs no cell that comes back")
def cells(program, quick, seen):
    table = "id,formula\n=cmd|' /C calc'!A0,Cu60Zr40\n@SUM(1),Fe80B20\n-1.5,Fe80B20\n"
    with Server(program) as server:
        safe = server.post("/classify/glass?safe_cells=true", table, "text/csv")
        good = safe.status == 200 and "\n'=cmd|" in safe.text and "\n'@SUM" in safe.text and "\n-1.5" in safe.text
        seen.note(f"?safe_cells=true {safe.status}: formulas {'as text' if good else 'as they were'}", good)


@item(22, "Bodies as other programs send them")
def bodies(program, quick, seen):
    with Server(program, env={"MCVN_CORS_ORIGINS": "http://localhost:8888"}) as server:
        packed(server, seen)
        marks(server, seen)
        shells(server, seen)
        preflight = wire.ask(server.port, "OPTIONS", "/classify/glass", fields={
            "origin": "http://localhost:8888", "access-control-request-method": "POST", "access-control-request-headers": "content-type"})
        allowed = preflight.field("access-control-allow-origin")
        seen.note(f"CORS preflight {preflight.status}, origin {allowed}", allowed == "http://localhost:8888")


def packed(server, seen):
    for coding, body in (("gzip", gzip.compress(GLASS)), ("deflate", zlib.compress(GLASS))):
        answer = server.post("/classify/glass", body, fields={"content-encoding": coding})
        good = answer.status == 200 or answer.status == 415 and bool(answer.field("accept-encoding"))
        seen.note(f"{coding} {answer.status}", good)
    other = server.post("/classify/glass", b"\x0b\x00\x80", fields={"content-encoding": "br"})
    seen.note(f"br {other.status}, accept-encoding {other.field('accept-encoding')}", other.status == 415 and bool(other.field("accept-encoding")))
    # Mostly blanks: a thousandth of its size.
    before = server.status("VmHWM")
    bomb = server.post("/classify/glass", gzip.compress(b" " * 200_000_000, 9), fields={"content-encoding": "gzip"})
    grown = server.status("VmHWM") - before
    seen.note(f"200 MB in a small body {bomb.status}, +{grown:.0f} MB", bomb.status in (413, 415) and grown < 50)
    wanted = server.get("/openapi.yaml", fields={"accept-encoding": "gzip"}).field("content-encoding")
    seen.note(f"an answer asked for as gzip comes as {wanted or 'it is'}", wanted == "gzip")


def marks(server, seen):
    mark = b"\xef\xbb\xbf"
    for name, kind, body in [("JSON", "application/json", mark + GLASS), ("NDJSON", "application/x-ndjson", mark + GLASS + b"\n")]:
        answer = server.post("/classify/glass", body, kind)
        seen.note(f"BOM in {name} {answer.status}", answer.status == 200 and "errors" not in answer.text)
    wide = server.post("/classify/glass", GLASS.decode().encode("utf-16"))
    seen.note(f"UTF-16 {wide.status}, {'named' if 'UTF-16' in wide.text else 'not named'}", "UTF-16" in wide.text)


def shells(server, seen):
    cmd = server.post("/classify/glass", "'{composition:Cu60Zr40}'")
    seen.note("quotes lost: " + ("told what to type" if "--data-binary" in cmd.text else "not told"), "--data-binary" in cmd.text)
    table = "id,C,Si,Mn,Cr,Mo,test_temperature" + "a,0.15,0.3,0.5,1.0,0.5,27" + "b,0.15,0.3,0.5,1.0,0.5,500"
    lines = server.post("/predict/steel?model=steel-tensile", table, "text/csv")
    seen.note("line breaks lost: " + ("told what to type" if "--data-binary" in lines.text else "not told"), "--data-binary" in lines.text)
