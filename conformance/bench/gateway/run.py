#!/usr/bin/env python3
"""Measures the gateway beside nginx and haproxy: CPU a request, p50, p99 and ratios, on one machine in one go.

    cargo build --release
    conformance/bench/gateway/run.py --varco target/release/varco --svg figures.svg

Every side proxies the same static FHIR server; `direct` asks that server itself. Rounds take the sides in turn, and
the median of the rounds counts. Needs nginx, haproxy, h2load (Debian: nghttp2-client) and openssl. All traffic
stays on loopback.
"""

import argparse
import pathlib
import sys
import tempfile

from load import Case, measure, median
from plot import svg
from servers import Bench, missing

KINDS = {
    "read 5 KB": ("/fhir/Patient/p1", None),
    "search 1 MB": ("/fhir/Observation?patient=Patient/p1", None),
    "create 5 KB": ("/fhir/Observation", "small.json"),
    "create 1 MB": ("/fhir/DocumentReference", "large.json"),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--varco", type=pathlib.Path, default=pathlib.Path("target/release/varco"), help="the program")
    parser.add_argument("--plugin", type=pathlib.Path, help="a plugin's manifest (default: the sample in plugins/samples)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20000, help="a run of 5 KB bodies; 1 MB bodies take a fiftieth")
    parser.add_argument("--connections", default="1,64")
    parser.add_argument("--ways", default="h1,h1s,h2", help="h1, h2c, h1s (TLS), h2 (TLS)")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--svg", type=pathlib.Path, help="writes a plot of CPU a request")
    return parser.parse_args()


def cases(options):
    for name, (path, body) in KINDS.items():
        for connections in options.connections.split(","):
            for way in options.ways.split(","):
                case = Case(name, path, body, int(connections), way)
                if options.only in case.title():
                    yield case


def show(case, figures):
    print(f"\n{case.title()}")
    print(f"  {'':16}{'CPU µs':>10}{'later µs':>10}{'p50 µs':>10}{'p99 µs':>10}{'a second':>10}{'× haproxy':>11}{'× nginx':>9}{'p50 + µs':>10}")
    for name, figure in figures.items():
        ratios = "".join(
            f"{figure.cpu / figures[rival].cpu:>{width}.2f}" if figures[rival].cpu else " " * width
            for rival, width in (("haproxy", 11), ("nginx", 9)))
        failed = f"  {figure.failed} FAILED" if figure.failed else ""
        print(f"  {name:16}{figure.cpu:>10.1f}{figure.later:>10.1f}{figure.p50:>10.0f}{figure.p99:>10.0f}{figure.rate:>10.0f}{ratios}"
              f"{figure.p50 - figures['direct'].p50:>10.0f}{failed}")
    sys.stdout.flush()


def main():
    options = arguments()
    here = pathlib.Path(__file__).resolve()
    options.plugin = (options.plugin or here.parents[3] / "plugins/samples/components/narrative-stripper.plugin.json").resolve()
    if lacking := missing(["nginx", "haproxy", "h2load", "openssl"]):
        sys.exit(f"not installed: {', '.join(lacking)}")
    if not options.varco.exists():
        sys.exit(f"{options.varco} is not there: cargo build --release")
    with tempfile.TemporaryDirectory(prefix="varco-bench-") as folder:
        pathlib.Path(folder).chmod(0o755)
        bench = Bench(pathlib.Path(folder), options.varco.resolve(), options.plugin)
        try:
            results, failed = compare(bench, options)
        finally:
            bench.stop()
    if options.svg:
        options.svg.write_text(svg(results, "CPU a request"))
        print(f"\nplot: {options.svg}")
    sys.exit(1 if failed else 0)


def compare(bench, options):
    origin = bench.origin()
    behind = origin.ports["h1"]
    sides = [origin, bench.nginx(behind), bench.haproxy(behind)]
    for name, more in (("varco", ""), ("varco + plugin", bench.with_plugin())):
        plain = bench.gateway(name.replace(" + ", "-"), behind, tls=False, more=more)
        secure = bench.gateway(name.replace(" + ", "-") + "-tls", behind, tls=True, more=more)
        sides.append((name, plain, secure))
    sides.append(("pass-through", bench.passing("passing", behind, False), bench.passing("passing-tls", behind, True)))
    results, failed = {}, 0
    for case in cases(options):
        requests = max(options.requests // (50 if "1 MB" in case.name else 1) // (2 if case.connections == 1 else 1), 2 * case.connections, 20)
        rounds = {}
        for number in range(options.rounds + 1):
            for side in sides:
                name, *both = side if isinstance(side, tuple) else (side.name, side)
                asked = next(it for it in both if case.way in it.ports)
                token = asked.token or bench.token("the same length for everyone")
                # The first round warms up: pools, caches, pages of memory.
                figure = measure(asked, case, requests if number else max(requests // 10, case.connections), bench.folder, token)
                if number:
                    rounds.setdefault(name, []).append(figure)
        results[case.title()] = {name: median(figures) for name, figures in rounds.items()}
        failed += sum(figure.failed for figure in results[case.title()].values())
        show(case, results[case.title()])
    print("\nmemory after all of it")
    for side in sides:
        name, *both = side if isinstance(side, tuple) else (side.name, side)
        print(f"  {name:16}" + ", ".join(f"{it.resident() / 1024:.1f} MB" for it in both))
    return results, failed


if __name__ == "__main__":
    main()
