"""One measurement: h2load asks, and the side's CPU is read before and after."""

import dataclasses
import statistics
import subprocess
import time

#: How each way of speaking is told to h2load, and whether it is TLS.
WAYS = {"h1": (["--h1"], False), "h2c": ([], False), "h1s": (["--npn-list=http/1.1"], True), "h2": ([], True)}


@dataclasses.dataclass
class Case:
    """What is asked: a path, a body to send or none, and how."""

    name: str
    path: str
    body: str | None
    connections: int
    way: str

    def title(self):
        return f"{self.name}, {self.connections} connection{'s' if self.connections > 1 else ''}, {self.way}"


@dataclasses.dataclass
class Figure:
    """CPU and times of one run, in microseconds a request. `later` is CPU of what was put off until the run was over."""

    cpu: float
    later: float
    p50: float
    p99: float
    rate: float
    failed: int


def settle(side):
    """Waits until the side is at rest: what it does in a pause must not stand in another's figures."""
    rests, last = 0, side.cpu()
    for _ in range(100):
        time.sleep(0.3)
        now = side.cpu()
        rests = rests + 1 if now - last < 3e6 else 0
        last = now
        if rests == 2:
            return


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(side, case, requests, folder, token):
    """Asks `requests` times. What was not answered with 2xx is counted as failed."""
    options, tls = WAYS[case.way]
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", *options, "-n", str(requests), "-c", str(case.connections), "-t", "1", "--log-file", str(log),
               "-H", f"Authorization: Bearer {token}", "-H", "Accept: application/fhir+json"]
    if case.body:
        command += ["-d", str(folder / case.body), "-H", "Content-Type: application/fhir+json"]
    command.append(f"{'https' if tls else 'http'}://127.0.0.1:{side.ports[case.way]}{case.path}")
    before = side.cpu()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    used = side.cpu() - before
    if done.returncode:
        raise SystemExit(f"h2load ended with {done.returncode}: {done.stderr.strip()[:400]}")
    settle(side)
    later = side.cpu() - before - used
    times, good, first, last = [], 0, None, 0
    for line in log.read_text().splitlines():
        start, status, took = line.split("\t")[:3]
        times.append(int(took))
        good += status.startswith("2")
        first = int(start) if first is None else min(first, int(start))
        last = max(last, int(start) + int(took))
    if not times:
        raise SystemExit(f"{side.name} answered none of {requests} requests ({case.title()})")
    times.sort()
    seconds = max(last - first, 1) / 1e6
    return Figure(used / 1e3 / len(times), later / 1e3 / len(times), percentile(times, 0.5), percentile(times, 0.99), len(times) / seconds, requests - good)


def median(figures):
    """Of several rounds, the median of each figure and the sum of what failed."""
    middle = {name: statistics.median(getattr(figure, name) for figure in figures) for name in ("cpu", "later", "p50", "p99", "rate")}
    return Figure(failed=sum(figure.failed for figure in figures), **middle)
