"""Items 5, 6 and 18: an action is done once and whole, and is noted, or it is not done."""

import random
import resource
import time

from . import wire
from .seen import item
from .server import Server


@item(5, "Hanging up evades no audit and splits no state")
def hanging_up(program, quick, seen):
    random.seed(5)
    with Server(program, admin=True) as server:
        for version in ("second", "third"):
            server.copy_version(version)
        rounds, split, silent, changed = 20 if quick else 60, 0, 0, 0
        body = b'{"force": true, "reason": "trial"}'
        noted = done(server)
        for number in range(rounds):
            version, before = ("second", "third")[number % 2], server.active()
            fields = {"authorization": f"Bearer {server.key}", "content-type": "application/json", "content-length": len(body)}
            with wire.connect(server.port) as stream:
                stream.sendall(wire.head("POST", f"/admin/models/glass/versions/{version}/promote", fields) + body)
                time.sleep(random.uniform(0, 0.02))
            # What goes on in a task of its own has ended by then.
            end = time.monotonic() + 0.6
            while time.monotonic() < end and not (server.active() == version and done(server) > noted):
                time.sleep(0.03)
            now, lines = server.active(), done(server)
            if now != before:
                changed += 1
                split += server.answers() != now
                silent += lines == noted
            noted = lines
        seen.note(f"{rounds} promotions left within 20 ms: {changed} were done, {split} on disk alone, {silent} without a line",
                  split == 0 and silent == 0)


def done(server):
    return sum(record["action"] == "version.promote" and record["outcome"] == "ok" for record in server.audit())


@item(6, "A full disk silences no audit")
def full_disk(program, quick, seen):
    with Server(program, admin=True) as server:
        for version in ("second", "third"):
            server.copy_version(version)
        server.promote("second")
        lines, before = done(server), server.active()
        # No file may grow, nor be written beyond its first page: what a full disk is to a store, and small files still can be.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        refused = server.promote("third")
        for _ in range(5):
            if refused.status == 200:
                refused = server.promote(("second", "third")[server.active() == "second"])
        kept = server.active() == before
        code = refused.json().get("code") if refused.status >= 400 else "silence"
        seen.note(f"promotion {refused.status} {code}", refused.status in (503, 507) and kept)
        ready = server.get("/readyz").json()
        working = server.metric("mcvn_admin_working")
        seen.note(f"/readyz {'names it' if 'administration' in ready else 'says nothing'}, metric {working}",
                  "administration" in ready and working == 0)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        time.sleep(0.5)
        version = ("second", "third")[server.active() == "second"]
        again, log = server.promote(version), server.ask_admin("GET", "/audit")
        noted = log.status == 200 and done(server) > lines
        seen.note(f"with space again {again.status}, {'noted' if noted else 'not noted'}", again.status == 200 and noted)


@item(18, "What is repeated is done once")
def repeated(program, quick, seen):
    with Server(program, admin=True) as server:
        shipped = server.answers()
        for version in ("second", "third"):
            server.copy_version(version)
            server.promote(version)
        rollback = lambda key: server.ask_admin("POST", "/models/glass/rollback", {}, fields={"idempotency-key": key})
        first, second = rollback("back"), rollback("back")
        # Refusing the key with a 400 would do, too.
        once = server.answers() == "second" or {first.status, second.status} == {400}
        where = {"second": "once", shipped: "twice"}.get(server.answers(), "not at all")
        seen.note(f"a rollback asked twice with one key: back {where}, replayed {second.field('idempotency-replayed') or 'no'}", once)
        promote = [server.promote("third", fields={"idempotency-key": "p"}) for _ in range(2)]
        seen.note(f"promotion {'/'.join(str(answer.status) for answer in promote)}",
                  [answer.status for answer in promote] in ([200, 200], [400, 400]))
        create = [server.create_lab_model(fields={"idempotency-key": "m"}) for _ in range(2)]
        seen.note(f"model {'/'.join(str(answer.status) for answer in create)}",
                  [answer.status for answer in create] in ([201, 201], [400, 400]))
