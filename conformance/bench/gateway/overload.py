#!/usr/bin/env python3
"""Drives the gateway at twice its capacity and watches its alarms: shed requests, memory, time to recover.

    cargo build --release
    conformance/bench/gateway/overload.py --varco target/release/varco

First a few alarms on an idle gateway, then its capacity (closed loop), then bulk reads at twice that rate beside a slow
steady stream of alarms, then the time until bulk is answered again as it was. Once with lanes, once with no bound but the
connections, for comparison. Needs nginx, h2load and openssl. All traffic stays on loopback; every phase ends by itself.

Exit code 1: an alarm failed, memory grew beyond --memory, or it took more than five seconds to recover.
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
    """What one run came to."""

    alarms: Alarms
    idle: Alarms
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
    print(f"  capacity            {capacity:.0f} reads a second, 16 connections")
    before = side.resident()
    shed_before = metrics(side)
    memory = Memory(side)
    memory.start()
    alarms = Alarms(side, alarm_token, body, options.alarms, options.seconds)
    alarms.start()
    asked = capacity * options.times
    good, shed, refused, failed = bulk(side, bulk_token, options.seconds, options.connections, asked)
    ended = recovery(side, bulk_token, 0.25)
    alarms.join()
    peak = memory.stop()
    time.sleep(2)
    after, now = side.resident(), metrics(side)
    print(f"  bulk, overload      {asked:.0f} a second wanted on {options.connections} connections: {good:.0f} answered, {shed:.0f} refused by 5xx, "
          f"{refused:.0f} by 4xx, {failed} broken")
    lanes = {lane: now.get(("varco_shed_total", lane), 0) - shed_before.get(("varco_shed_total", lane), 0) for lane in ("priority", "normal", "bulk")}
    print(f"  shed                " + ", ".join(f"{lane} {count:.0f}" for lane, count in lanes.items()))
    print(f"  alarms, overload    {alarms.told()}; p99 {alarms.p99() / idle.p99():.1f} × idle")
    print(f"  memory              {before / 1024:.1f} MB before, {peak / 1024:.1f} MB at most, {after / 1024:.1f} MB after")
    print(f"  in flight after     " + ", ".join(f"{lane} {now.get(('varco_in_flight', lane), 0):.0f}" for lane in ("priority", "normal", "bulk")))
    print(f"  recovered           {ended:.2f} s after the load's end")
    sys.stdout.flush()
    side.stop()
    bench.sides.remove(side)
    return Run(alarms, idle, (peak - before) / 1024, ended)


def main():
    options = arguments()
    if lacking := missing(["nginx", "h2load", "openssl", "nice"]):
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
    faults = [
        (own.alarms.failed, f"{len(own.alarms.failed)} alarms failed"),
        (own.grown > options.memory, f"memory grew by {own.grown:.0f} MB"),
        (own.recovered > RECOVERY, f"it took {own.recovered:.1f} s to recover"),
    ]
    for text in (text for fault, text in faults if fault):
        print(f"FAULT: {text}")
    sys.exit(1 if any(fault for fault, _ in faults) else 0)


if __name__ == "__main__":
    main()
