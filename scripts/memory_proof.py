#!/usr/bin/env python3
"""How much memory do strangers hold, and what do others feel of it? One server with its default knobs, all at once:

    3,000 heads that announce 2,000,000 bytes each and send none (over HTTP/2 streams and HTTP/1 connections)
    100 answers of some megabytes that nobody reads
    4 streamed tables whose answers nobody reads
    200 HTTP/2 streams whose window is shut

usage: scripts/memory_proof.py [--program target/release/mcvn] [--models models] [--seconds 10]

Measures small predictions of two clients idle and meanwhile, asks /livez all the time, reads the peak of the server's memory.
Exit status 1 unless memory <= 300 MB, p99 <= 3 x idle, and /livez always answered. Leave the machine alone meanwhile.
"""

import argparse
import http.client
import multiprocessing
import os
import socket
import sys
import time
from collections import namedtuple

from hardening import http2, wire
from hardening.fairness import STEEL
from hardening.server import Program, Server, prepare
from hardening.strangers import JSON, NDJSON, endless, glasses, unread

# What `unread` and `endless` want of a server.
At = namedtuple("At", "port")
HEADS, OF_THEM_HTTP1, STREAMS_OF_A_CONNECTION = 3000, 1000, 200
MOST_MB, MOST_RATIO = 300, 3


# Each of these opens what it holds and gives it back: (sockets, how many things they stand for).

def heads(port):
    fields = {**JSON, "content-length": 2_000_000}
    held = []
    for _ in range((HEADS - OF_THEM_HTTP1) // STREAMS_OF_A_CONNECTION):
        connection = http2.Connection(port)
        for _ in range(STREAMS_OF_A_CONNECTION):
            connection.request("POST", "/predict/steel", fields, end=False)
        held.append((connection.stream, STREAMS_OF_A_CONNECTION))
    for _ in range(OF_THEM_HTTP1):
        stream = wire.connect(port)
        stream.sendall(wire.head("POST", "/predict/steel", fields))
        held.append((stream, 1))
    return held


def answers(port):
    lines, large = b"1\n" * 32_000, glasses(10_000)
    held = []
    for number in range(100):
        kind, body = (NDJSON, lines) if number % 2 else (JSON, large)
        try:
            held.append((unread(At(port), "/classify/glass", kind, body), 1))
        except OSError:
            # Refused before it was sent: nothing is held.
            pass
    return held


def tables(port):
    held = []
    for _ in range(4):
        held.append((endless(At(port), 2), 1))
    return held


def shut(port):
    connection = http2.Connection(port, window=0)
    for _ in range(200):
        connection.request("POST", "/classify/glass", JSON, glasses(150))
    return [(connection.stream, 200)]


def hold(opener, port, ready, over, told):
    """In a process of its own: opens, waits until it is over, and says how much of it the server has not ended."""
    prepare()
    try:
        held = opener(port)
    except OSError as error:
        held = []
        print(f"{opener.__name__}: {error}", file=sys.stderr)
    ready.release()
    over.wait()
    told.put((opener.__name__, sum(count for stream, count in held), sum(count for stream, count in held if open_still(stream))))


def open_still(stream):
    """Whether a connection is neither closed nor reset; what it was sent stays unread."""
    try:
        stream.setblocking(False)
        error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        state = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return error == 0 and state == 1
    except OSError:
        return False


def small(port, seconds, told):
    """Small predictions one after the other: the time of each, and how many were not answered with a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times, bad, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        try:
            connection.request("POST", "/predict/steel", STEEL, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            bad += answer.status != 200
        except (OSError, http.client.HTTPException):
            bad += 1
            connection.close()
        times.append(time.perf_counter() - begin)
        time.sleep(0.002)
    told.put((times, bad))


def probes(port, over, told):
    """/livez on a connection of its own each time, as a kubelet asks; within the two seconds that the manifests give it."""
    times, bad = [], 0
    while not over.is_set():
        answer, took = wire.timed(wire.ask, port, "GET", "/livez", timeout=2)
        bad += answer.status != 200
        times.append(took)
        time.sleep(0.05)
    told.put((times, bad))


def ask(port, seconds):
    told = multiprocessing.Queue()
    clients = [multiprocessing.Process(target=small, args=(port, seconds, told)) for _ in range(2)]
    for client in clients:
        client.start()
    gathered = [told.get() for _ in clients]
    for client in clients:
        client.join()
    times = sorted(took for times, _ in gathered for took in times)
    return {"p50": times[len(times) // 2] * 1e3, "p99": times[int(len(times) * 0.99)] * 1e3, "count": len(times),
            "bad": sum(bad for _, bad in gathered)}


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    parser = argparse.ArgumentParser(description="Memory that strangers hold, all at once, and what others feel of it.")
    parser.add_argument("--program", default=os.path.join(root, "target", "release", "mcvn"))
    parser.add_argument("--models", default=os.path.join(root, "models"))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", help="some of heads,answers,tables,shut: to see what each takes")
    options = parser.parse_args()
    prepare()
    with Server(Program(os.path.abspath(options.program), os.path.abspath(options.models))) as server:
        ask(server.port, 2)
        fresh, idle = server.status("VmRSS"), ask(server.port, options.seconds)
        over, told, live = multiprocessing.Event(), multiprocessing.Queue(), multiprocessing.Queue()
        ready = multiprocessing.Semaphore(0)
        prober = multiprocessing.Process(target=probes, args=(server.port, over, live))
        openers = [opener for opener in (heads, answers, tables, shut) if opener.__name__ in (options.only or opener.__name__).split(",")]
        holders = [multiprocessing.Process(target=hold, args=(opener, server.port, ready, over, told)) for opener in openers]
        for process in [prober, *holders]:
            process.start()
        # From the first stranger on, for the table: these seconds are those of the strangers' own work as well, on the same cores.
        busy = ask(server.port, options.seconds)
        for _ in holders:
            ready.acquire()
        # While all of it is held: what is judged.
        held = ask(server.port, options.seconds)
        now, peak = server.status("VmRSS"), server.status("VmHWM")
        over.set()
        counts, (livez, dead) = [told.get() for _ in holders], live.get()
        for process in [prober, *holders]:
            process.join()
    ratio = held["p99"] / idle["p99"]
    good = [peak <= MOST_MB, ratio <= MOST_RATIO, dead == 0, busy["bad"] + held["bad"] == 0]
    mark = lambda holds: "" if holds else " **too much**"
    print("| what | measured |\n|---|---|")
    for name, opened, still in sorted(counts):
        print(f"| {name} opened, of them still held at the end | {opened}, {still} |")
    print(f"| memory before, at the end, at most | {fresh:.0f}, {now:.0f}, {peak:.0f} MB (at most {MOST_MB}){mark(good[0])} |")
    print(f"| small predictions idle | {idle['count']}, p50 {idle['p50']:.2f} ms, p99 {idle['p99']:.2f} ms |")
    print(f"| while it comes about | {busy['count']}, p50 {busy['p50']:.2f} ms, p99 {busy['p99']:.2f} ms, {busy['bad']} not answered |")
    print(f"| while it is held | {held['count']}, p50 {held['p50']:.2f} ms, p99 {held['p99']:.2f} ms, {held['bad']} not answered |")
    print(f"| p99 while it is held, against idle | {ratio:.2f} (at most {MOST_RATIO}){mark(good[1])} |")
    print(f"| /livez | {len(livez) - dead} of {len(livez)}, the slowest {max(livez) * 1e3:.0f} ms{mark(good[2])} |")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
