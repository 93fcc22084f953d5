#!/usr/bin/env python3
"""Drives the gateway at twice its capacity and watches its alarms: shed requests, memory, time to recover.

    cargo build --release
    conformance/bench/gateway/overload.py --varco target/release/varco

First a few alarms on an idle gateway, then its capacity (closed loop), then bulk reads beside a slow steady stream of
alarms, then the time until bulk is answered again as it was. Bulk comes in two ways: from h2load at twice the capacity,
and from wrk, which asks again as soon as it is answered, whatever Retry-After says. Once with lanes, once with no bound
but the connections, for comparison. Needs nginx, h2load, wrk and openssl. All traffic stays on loopback; every phase ends
by itself.

Exit code 1: an alarm failed, their p99 was more than --ratio times that of an idle gateway, memory grew beyond --memory,
or it took more than five seconds to recover.
"""

import argparse
import dataclasses
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from load import percentile
from servers import Bench, missing

#: Seconds within which bulk must be answered again.
RECOVERY = 5.0
#: Processes that send bulk.
GENERATORS = 8
#: How often memory is looked at, in seconds.
LOOK = 0.05

#: The places are those that are there without being set.
LANES = """[[limits.priority]]
clients = ["alarms"]
interactions = ["create"]
types = ["Observation"]
[[limits.bulk]]
clients = ["bulk"]
"""
NO_LANES = "concurrent = 1000000\nconcurrent_bulk = 1000000\nconcurrent_priority = 0\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--varco", type=pathlib.Path, default=pathlib.Path("target/release/varco"), help="the program")
    parser.add_argument("--seconds", type=int, default=15, help="of each phase")
    parser.add_argument("--connections", type=int, default=512, help="of bulk under overload")
    parser.add_argument("--alarms", type=int, default=20, help="alarms a second")
    parser.add_argument("--times", type=float, default=2.0, help="so many times the capacity")
    parser.add_argument("--memory", type=int, default=256, help="megabytes that memory may grow by")
    parser.add_argument("--ratio", type=float, default=3.0, help="times its idle p99 that an alarm's may be")
    parser.add_argument("--lanes-only", action="store_true", help="without the run for comparison")
    return parser.parse_args()


class Alarms(threading.Thread):
    """Sends alarms at a steady rate, one at a time, whatever becomes of them."""

    def __init__(self, side, token, body, rate, seconds):
        super().__init__()
        self.side, self.token, self.body, self.rate, self.seconds = side, token, body, rate, seconds
        self.took, self.failed = [], []

    def run(self):
        line = None
        start = time.monotonic()
        for number in range(self.rate * self.seconds):
            time.sleep(max(0.0, start + number / self.rate - time.monotonic()))
            begun = time.monotonic()
            try:
                line = line or http.client.HTTPConnection("127.0.0.1", self.side.ports["h1"], timeout=10)
                line.request("POST", "/fhir/Observation", self.body, {
                    "Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"})
                answer = line.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException) as error:
                line, status = None, type(error).__name__
            if status == 201:
                self.took.append((time.monotonic() - begun) * 1e6)
            else:
                self.failed.append(status)

    def told(self):
        ordered = sorted(self.took) or [float("nan")]
        failed = f", {len(self.failed)} FAILED: {sorted(set(map(str, self.failed)))}" if self.failed else ""
        return f"{len(self.took)} answered, p50 {percentile(ordered, 0.5):.0f} µs, p99 {percentile(ordered, 0.99):.0f} µs{failed}"

    def p99(self):
        return percentile(sorted(self.took), 0.99) if self.took else float("nan")


class Memory(threading.Thread):
    """The most memory that a side holds, looked at again and again."""

    def __init__(self, side):
        super().__init__(daemon=True)
        self.side, self.peak, self.running = side, 0, True

    def run(self):
        while self.running:
            self.peak = max(self.peak, self.side.resident())
            time.sleep(LOOK)

    def stop(self):
        self.running = False
        self.join()
        return self.peak


def bulk(side, token, seconds, connections, rate=None):
    """Bulk reads for so long; answers a second that were 2xx, 5xx and 4xx, and how many were not answered.

    With a rate, several generators begin one after the other: the connections of one send at the same moment.
    """
    generators = GENERATORS if rate else 1
    each = connections // generators
    command = ["nice", "-n", "5", "h2load", "--h1", "-D", str(seconds), "-c", str(each), "-t", "1",
               "-H", f"Authorization: Bearer {token}", "-H", "Accept: application/fhir+json"]
    if rate:
        command += ["--rps", f"{rate / connections:.3f}"]
    command.append(f"http://127.0.0.1:{side.ports['h1']}/fhir/Patient/p1")
    running = []
    for _ in range(generators):
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        time.sleep(connections / rate / generators if rate else 0)
    totals = [0.0, 0.0, 0.0, 0.0]
    failed = 0
    for process in running:
        told, _ = process.communicate(timeout=seconds + 120)
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", told)
        if process.returncode or not codes:
            raise SystemExit(f"h2load ended with {process.returncode}: {told[-600:]}")
        totals = [total + int(own) / seconds for total, own in zip(totals, codes.groups())]
        failed += sum(int(own) for own in re.search(r"(\d+) errored, (\d+) timeout", told).groups())
    good, _, refused, shed = totals
    return good, shed, refused, failed


def flood(side, token, seconds, connections):
    """The same by wrk: each connection asks again at once."""
    command = ["nice", "-n", "5", "wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s",
               "-H", f"Authorization: Bearer {token}", "-H", "Accept: application/fhir+json",
               f"http://127.0.0.1:{side.ports['h1']}/fhir/Patient/p1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    answered = re.search(r"(\d+) requests in", done.stdout)
    if done.returncode or not answered:
        raise SystemExit(f"wrk ended with {done.returncode}: {(done.stdout + done.stderr)[-600:]}")
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    shed = int(other[1]) if other else 0
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
    return (int(answered[1]) - shed) / seconds, shed / seconds, 0.0, sum(map(int, broken.groups())) if broken else 0


def metrics(side):
    with urllib.request.urlopen(f"http://127.0.0.1:{side.admin}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.findall(r'^(varco_(?:shed_total|in_flight))\{lane="(\w+)"\} ([0-9.e+]+)$', text, re.M)
    return {(name, lane): float(value) for name, lane, value in found}


def recovery(side, token, usual):
    """Seconds until twenty bulk reads in a row are answered as usual; `usual` in seconds."""
    begun, in_a_row = time.monotonic(), 0
    while in_a_row < 20 and time.monotonic() - begun < 60:
        asked = time.monotonic()
        request = urllib.request.Request(
            f"http://127.0.0.1:{side.ports['h1']}/fhir/Patient/p1", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                answer.read()
            well = time.monotonic() - asked < usual
        except OSError:
            well = False
        in_a_row = in_a_row + 1 if well else 0
        if in_a_row == 1:
            since = asked
    return since - begun if in_a_row else float("inf")


@dataclasses.dataclass
class Run:
    """What bulk in one way came to."""

    name: str
    alarms: Alarms
    ratio: float
    grown: float
    recovered: float


def overload(bench, name, settings, origin, options):
    side = bench.gateway(name, origin, tls=False, more=settings)
    base = f"http://127.0.0.1:{side.ports['h1']}/fhir"
    alarm_token, bulk_token = bench.token(base, client="alarms"), bench.token(base, client="bulk")
    body = (bench.folder / "small.json").read_bytes()
    print(f"\n{name}")
    idle = Alarms(side, alarm_token, body, options.alarms, min(options.seconds, 10))
    idle.start()
    idle.join()
    print(f"  alarms, idle        {idle.told()}")
    bulk(side, bulk_token, 2, 16)
    capacity, *_ = bulk(side, bulk_token, options.seconds, 16)
    asked = capacity * options.times
    print(f"  capacity            {capacity:.0f} reads a second, 16 connections")
    runs = []
    for way, load in (
        (f"h2load, {asked:.0f} a second on {options.connections} connections",
         lambda: bulk(side, bulk_token, options.seconds, options.connections, asked)),
        (f"wrk, {options.connections} connections", lambda: flood(side, bulk_token, options.seconds, options.connections)),
    ):
        before, shed_before = side.resident(), metrics(side)
        memory = Memory(side)
        memory.start()
        alarms = Alarms(side, alarm_token, body, options.alarms, options.seconds)
        alarms.start()
        good, shed, refused, failed = load()
        ended = recovery(side, bulk_token, 0.25)
        alarms.join()
        peak = memory.stop()
        time.sleep(2)
        after, now = side.resident(), metrics(side)
        lanes = {lane: now.get(("varco_shed_total", lane), 0) - shed_before.get(("varco_shed_total", lane), 0) for lane in ("priority", "normal", "bulk")}
        run = Run(f"{name}, {way}", alarms, alarms.p99() / idle.p99(), (peak - before) / 1024, ended)
        runs.append(run)
        print(f"  {way}")
        print(f"    bulk              {good:.0f} a second answered, {shed:.0f} refused by 5xx, {refused:.0f} by 4xx, {failed} broken")
        print("    shed              " + ", ".join(f"{lane} {count:.0f}" for lane, count in lanes.items()))
        print(f"    alarms            {alarms.told()}; p99 {run.ratio:.1f} × idle")
        print(f"    memory            {before / 1024:.1f} MB before, {peak / 1024:.1f} MB at most, {after / 1024:.1f} MB after")
        print("    in flight after   " + ", ".join(f"{lane} {now.get(('varco_in_flight', lane), 0):.0f}" for lane in ("priority", "normal", "bulk")))
        print(f"    recovered         {ended:.2f} s after the load's end")
        sys.stdout.flush()
    side.stop()
    bench.sides.remove(side)
    return runs


def main():
    options = arguments()
    if lacking := missing(["nginx", "h2load", "wrk", "openssl", "nice"]):
        sys.exit(f"not installed: {', '.join(lacking)}")
    if not options.varco.exists():
        sys.exit(f"{options.varco} is not there: cargo build --release")
    with tempfile.TemporaryDirectory(prefix="varco-overload-") as folder:
        pathlib.Path(folder).chmod(0o755)
        bench = Bench(pathlib.Path(folder), options.varco.resolve(), None)
        try:
            origin = bench.origin().ports["h1"]
            own = overload(bench, "lanes", LANES, origin, options)
            if not options.lanes_only:
                overload(bench, "no-lanes", NO_LANES, origin, options)
        finally:
            bench.stop()
    faults = [text for run in own for fault, text in (
        (run.alarms.failed, f"{run.name}: {len(run.alarms.failed)} alarms failed"),
        (run.ratio > options.ratio, f"{run.name}: the alarms' p99 was {run.ratio:.1f} times that of an idle gateway"),
        (run.grown > options.memory, f"{run.name}: memory grew by {run.grown:.0f} MB"),
        (run.recovered > RECOVERY, f"{run.name}: it took {run.recovered:.1f} s to recover"),
    ) if fault]
    for text in faults:
        print(f"FAULT: {text}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
