#!/usr/bin/env python3
"""What clients hear through nginx before two replicas; started by scripts/nginx_proof.sh, which finds or installs nginx.

Prints a table of what came directly and what through nginx. Exit status 1 where something is lost on the way.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from hardening import wire
from hardening.fairness import STEEL
from hardening.refusals import heard
from hardening.server import Program, Server, lab_recipe, lab_rows, prepare

# Debian's nginx.conf, apart from ports and paths, the user (its workers must read the temporary folder), and the size of a
# body, which nginx would refuse itself from 1 MB on. What is not said is nginx's default: HTTP/1.0 to the upstreams, buffers
# both ways, a replica that failed once is left out for ten seconds.
CONFIGURATION = """
{user}
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    default_type application/octet-stream;
    access_log {folder}/access.log;
    gzip on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    upstream replicas {{ server 127.0.0.1:{first}; server 127.0.0.1:{second}; }}
    upstream first {{ server 127.0.0.1:{first}; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://replicas; }}
        location /admin/ {{ proxy_pass http://first; }}
        location /alloys/ {{ proxy_pass http://first/; }}
    }}
}}
"""


class Nginx:
    def __init__(self, program, first, second):
        self.folder = tempfile.mkdtemp(prefix="mcvn-nginx-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        user = "user root;" if os.geteuid() == 0 else ""
        with open(f"{self.folder}/nginx.conf", "w") as file:
            file.write(CONFIGURATION.format(user=user, folder=self.folder, first=first, second=second, port=self.port))
        command = [program, "-p", self.folder, "-c", f"{self.folder}/nginx.conf", "-e", f"{self.folder}/error.log", "-g", "daemon off;"]
        self.process = subprocess.Popen(command)
        for _ in range(100):
            try:
                wire.connect(self.port).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("nginx does not listen")

    def complaints(self):
        """Lines of its error log that say that an upstream failed."""
        with open(f"{self.folder}/error.log") as file:
            return [line for line in file if re.search(r"writev\(\) failed|prematurely closed|no live upstreams|reset by peer|upstream timed out", line)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Others:
    """Clients with small predictions, while somebody else does what is tried."""
    def __init__(self, port):
        self.port, self.over, self.statuses = port, threading.Event(), {}
        self.threads = [threading.Thread(target=self.ask) for _ in range(2)]

    def ask(self):
        while not self.over.is_set():
            status = wire.ask(self.port, "POST", "/predict/steel", STEEL, {"content-type": "application/json"}, timeout=30).status
            self.statuses[status] = self.statuses.get(status, 0) + 1
            time.sleep(0.005)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


class Table:
    def __init__(self):
        self.failed = False
        print("| what | directly | through nginx |\n|---|---|---|", flush=True)

    def row(self, what, directly, through, holds):
        self.failed |= not holds
        print(f"| {what}{'' if holds else ' **lost**'} | {directly} | {through} |", flush=True)


def counted(list_):
    return ", ".join(f"{list_.count(value)} × {value}" for value in sorted(set(list_), key=str))


def curl(port, path, kind, file, output="/dev/null", more=()):
    """Status and exit status."""
    command = ["curl", "-s", "-o", output, "-w", "%{http_code}", "-H", f"content-type: {kind}", "-H", "authorization: Bearer mcvn_wrong",
               "--max-time", "60", "--data-binary", f"@{file}", *more, f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(done.stdout or 0), done.returncode


def refusals(table, nginx, direct, rounds):
    blanks, header = b" ", b"Quux,What\n1,2\n"
    trials = [("/predict/steel", "application/json", 2_100_000, blanks, 413), ("/predict/steel", "application/json", 2_500_000, blanks, 413),
              ("/predict/steel", "application/json", 5_000_000, blanks, 413), ("/nothing/here", "application/json", 5_000_000, blanks, 404),
              ("/predict/steel?model=none", "text/csv", 24_000_000, b"C,Cr\n0.1,1\n", 404), ("/classify/glass", "text/csv", 5_000_000, header, 422),
              ("/admin/jobs", "multipart/form-data; boundary=b", 20_000_000, blanks, 401)]
    with Others(nginx.port) as others:
        for path, kind, size, fill, status in trials:
            file = f"{nginx.folder}/sent"
            with open(file, "wb") as out:
                out.write(fill * (size // len(fill)))
            for name, ask in [("curl", lambda port: curl(port, path, kind, file)[0]), ("http.client", lambda port: heard(port, path, kind, size, fill))]:
                directly, through = ([ask(port) for _ in range(rounds)] for port in (direct.port, nginx.port))
                table.row(f"13: {status}, {size / 1e6:.1f} MB to {path.split('?')[0]}, {name}", counted(directly), counted(through),
                          set(directly + through) == {status})
    good = set(others.statuses) == {200}
    table.row("13: other clients meanwhile", "", ", ".join(f"{count} × {status}" for status, count in sorted(others.statuses.items())), good)
    table.row("13: complaints of nginx about its upstreams", "", len(nginx.complaints()), not nginx.complaints())


def lines(path):
    try:
        with open(path, "rb") as file:
            return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def cut(table, program, nginx_program, rows, share):
    """SIGTERM to the replicas when a client has so much of its table."""
    told = {}
    for way in ("directly", "through nginx"):
        flags = ("--drain-seconds", "0.5")
        with Server(program, *flags) as first, Server(program, *flags) as second, Nginx(nginx_program, first.port, second.port) as nginx:
            sent, came = f"{nginx.folder}/sent.csv", f"{nginx.folder}/came.csv"
            with open(sent, "w") as file:
                file.write("formula\n" + "Cu60Zr40\n" * rows)
            port = first.port if way == "directly" else nginx.port
            result = []
            # As HTTP/1.0 where there is no proxy to speak it; a client that reads as slowly as it must to be in the middle.
            more = ("--limit-rate", f"{rows * 64 // 6}") + (("--http1.0",) if way == "directly" else ())
            client = threading.Thread(target=lambda: result.extend(curl(port, "/classify/glass", "text/csv", sent, came, more)))
            client.start()
            end = time.monotonic() + 40
            while lines(came) < rows * share and client.is_alive() and time.monotonic() < end:
                time.sleep(0.02)
            for replica in (first, second):
                replica.send(signal.SIGTERM)
            client.join()
            status, code = result
            count = lines(came)
            told[way] = (f"{count} of {rows + 1} lines, status {status}, curl's exit {code}", count == rows + 1 or code != 0 or status != 200)
    table.row(f"14: SIGTERM at {share:.0%} of a table", told["directly"][0], told["through nginx"][0], all(good for _, good in told.values()))


def whole(table, nginx, direct, rows):
    sent, told = f"{nginx.folder}/sent.csv", []
    with open(sent, "w") as file:
        file.write("formula\n" + "Cu60Zr40\n" * rows)
    for port in (direct.port, nginx.port):
        status, code = curl(port, "/classify/glass", "text/csv", sent, f"{nginx.folder}/came.csv")
        told.append((f"{lines(f'{nginx.folder}/came.csv')} of {rows + 1} lines, status {status}, exit {code}",
                     (lines(f"{nginx.folder}/came.csv"), status, code) == (rows + 1, 200, 0)))
    table.row("14: a table that is whole", told[0][0], told[1][0], all(good for _, good in told))


def arrivals(port, path, key, seconds):
    """When events came, from the beginning; those that came in one heap have one time."""
    begin, times, events = time.monotonic(), [], 0
    with wire.connect(port, timeout=1) as stream:
        stream.sendall(wire.head("GET", path, {"authorization": f"Bearer {key}"}))
        while time.monotonic() - begin < seconds:
            try:
                piece = stream.recv(1 << 16)
            except TimeoutError:
                continue
            if not piece:
                break
            if count := piece.count(b"data:"):
                events += count
                times.append(time.monotonic() - begin)
    return times, events


def events(table, nginx, first):
    recipe = lab_recipe(100_000)
    first.ask_admin("POST", "/models", recipe, kind="application/toml")
    kind, body = wire.form(options='{"model": "steel-lab42", "folds": 2}', data=lab_rows())
    fields = {"authorization": f"Bearer {first.key}", "content-type": kind}
    path = "/alloys/admin/jobs"
    created = wire.ask(nginx.port, "POST", path, body, fields)
    location = created.field("location") or ""
    link = urllib.parse.urljoin(path, location)
    shown = wire.ask(nginx.port, "GET", link, fields={"authorization": f"Bearer {first.key}"}).status
    table.row("21: `Location` behind the prefix /alloys/", location, f"{link}: {shown}", shown == 200 and link.startswith("/alloys/"))
    # It trains on and on.
    time.sleep(1)
    told, good = [], True
    for port in (first.port, nginx.port):
        times, count = arrivals(port, f"/admin/jobs/{created.json()['id']}/events", first.key, 8)
        told.append(f"{count} events in {len(times)} pieces, the first after {times[0]:.2f} s" if times else "none")
        good &= bool(times) and times[0] < 1 and len(times) >= min(count, 3)
    table.row("21: events of a job", told[0], told[1], good)
    first.ask_admin("POST", f"/jobs/{created.json()['id']}/cancel")


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    parser = argparse.ArgumentParser(description="What clients hear through nginx before two replicas.")
    parser.add_argument("--program", default=os.path.join(root, "target", "release", "mcvn"))
    parser.add_argument("--models", default=os.path.join(root, "models"))
    parser.add_argument("--nginx", default="nginx")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    prepare()
    program = Program(os.path.abspath(options.program), os.path.abspath(options.models))
    print(subprocess.run([options.nginx, "-v"], capture_output=True, text=True).stderr.strip() + "\n")
    table = Table()
    with Server(program, admin=True) as first, Server(program) as second, Nginx(options.nginx, first.port, second.port) as nginx:
        refusals(table, nginx, first, options.rounds)
        up = [replica.get("/readyz").status for replica in (first, second)]
        table.row("13: both replicas", counted(up), "", up == [200, 200])
        whole(table, nginx, first, 200_000)
        events(table, nginx, first)
    for share in (0.2, 0.9):
        cut(table, program, options.nginx, 600_000, share)
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
