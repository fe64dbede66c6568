"""Items 7 and 15: the file of keys, changed by several at once, mounted, linked, or not the server's."""

import os
import threading

from .seen import item
from .server import Server


def at_once(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def names(server, file):
    return server.command("admin-key", "list", "--keys-file", file).stdout


@item(7, "Keys made and revoked at once are all kept")
def updates(program, quick, seen):
    rounds = 8 if quick else 30
    with Server(program, admin=True, start=False) as server:
        back = lost = 0
        for number in range(rounds):
            file = server.at(f"beside{number}.toml")
            server.create_key("old", "read", file)
            at_once(lambda: server.create_key("new", "read", file),
                    lambda: server.command("admin-key", "revoke", "--keys-file", file, "--name", "old"))
            listed = names(server, file)
            back += "old" in listed
            lost += "new" not in listed
        seen.note(f"create beside revoke: revoked key back in {back}, new key lost in {lost} of {rounds}", back == lost == 0)
        missing = 0
        for number in range(rounds):
            file = server.at(f"six{number}.toml")
            printed = []
            at_once(*[lambda name=name: printed.append((name, server.create_key(name, "read", file))) for name in "abcdef"])
            missing += sum(name not in [line.split()[0] for line in names(server, file).splitlines() if line.strip()]
                           for name, key in printed if key)
        seen.note(f"six creations at once: {missing} of {6 * rounds} printed keys not in the file", missing == 0)


@item(15, "Key files that are mounted, linked, or another's")
def files(program, quick, seen):
    with Server(program, admin=True, start=False) as server:
        server.create_key("alice", "read")
        # A bind mount of one file is a second name of it: what a rename puts in place of the other name is not seen.
        os.rename(server.at("keys.toml"), server.at("host.toml"))
        os.link(server.at("host.toml"), server.at("keys.toml"))
        server.start()
        statuses = revoked(server, "mounted", server.at("host.toml"))
        seen.note("a key and then revoked, mounted file: %d, %d" % statuses, statuses == (200, 401))
        os.symlink(server.at("keys.toml"), server.at("link.toml"))
        statuses, link = revoked(server, "linked", server.at("link.toml")), os.path.islink(server.at("link.toml"))
        seen.note("by a link: %d, %d" % statuses + ("" if link else ", link replaced"), statuses == (200, 401) and link)
        os.chmod(server.at("keys.toml"), 0o640)
        if os.geteuid() == 0:
            os.chown(server.at("keys.toml"), 0, 10001)
        before = os.stat(server.at("keys.toml"))
        server.create_key("bob", "read")
        now = os.stat(server.at("keys.toml"))
        same = (before.st_mode, before.st_gid, before.st_uid) == (now.st_mode, now.st_gid, now.st_uid)
        seen.note(f"mode {now.st_mode & 0o777:o}, group {now.st_gid} after create (640, {before.st_gid} before)", same)
        os.rename(server.at("keys.toml"), server.at("away.toml"))
        server.ask_admin("GET", "/jobs")
        told = "administration" in server.get("/readyz").json() and server.metric("mcvn_admin_working") == 0
        seen.note("a file that vanished is " + ("told" if told else "not told"), told)


def revoked(server, name, file):
    """What a key gets that is made by this name of the file, and what it gets when it was revoked by it."""
    key = server.create_key(name, "read", file)
    given = server.ask_admin("GET", "/jobs", key=key).status
    server.command("admin-key", "revoke", "--keys-file", file, "--name", name)
    return given, server.ask_admin("GET", "/jobs", key=key).status
