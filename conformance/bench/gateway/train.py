#!/usr/bin/env python3
"""Puts an instrumented gateway to work, so that a build can be optimised by what it did: see dist.sh.

    conformance/bench/gateway/train.py --varco target/instrumented/release/varco

It is asked what run.py asks, in every way of speaking, with and without a plugin and passing through, each as often as
SHARES says; at its end each process writes its counts to where it was built to write them. Needs nginx, h2load (Debian:
nghttp2-client) and openssl.
"""

import argparse
import pathlib
import sys
import tempfile

from load import Case, measure
from run import KINDS
from servers import Bench, missing


# Reads are what a gateway does all day. Trained on everything alike, the code that a megabyte's bytes run through has the
# largest counts and gets the best places, and a read costs a tenth more.
SHARES = {"read 5 KB": 1, "create 5 KB": 10, "search 1 MB": 200, "create 1 MB": 200}
CONNECTIONS = 32


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--varco", type=pathlib.Path, required=True, help="the instrumented program")
    parser.add_argument("--plugin", type=pathlib.Path, help="a plugin's manifest (default: the sample in plugins/samples)")
    parser.add_argument("--requests", type=int, default=8000, help="reads of the gateway itself; the rest by their shares")
    return parser.parse_args()


def sides(bench, behind):
    """Each kind of gateway, in the clear and with TLS, and what its share is divided by."""
    for secure in (False, True):
        suffix = "-tls" if secure else ""
        yield bench.gateway(f"plain{suffix}", behind, tls=secure), 1
        yield bench.gateway(f"plugin{suffix}", behind, tls=secure, more=bench.with_plugin()), 4
        yield bench.passing(f"passing{suffix}", behind, secure), 2


def main():
    options = arguments()
    here = pathlib.Path(__file__).resolve()
    options.plugin = (options.plugin or here.parents[3] / "plugins/samples/components/narrative-stripper.plugin.json").resolve()
    if lacking := missing(["nginx", "h2load", "openssl"]):
        sys.exit(f"not installed: {', '.join(lacking)}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="varco-train-") as folder:
        pathlib.Path(folder).chmod(0o755)
        bench = Bench(pathlib.Path(folder), options.varco.resolve(), options.plugin)
        try:
            behind = bench.origin().ports["h1"]
            for side, part in sides(bench, behind):
                for name, (path, body) in KINDS.items():
                    for way in side.ports:
                        requests = max(options.requests // part // SHARES[name], CONNECTIONS)
                        case = Case(name, path, body, CONNECTIONS, way)
                        figure = measure(side, case, requests, bench.folder, side.token)
                        failed += figure.failed
                        print(f"{side.name}: {name}, {way}: {requests} requests, {figure.failed} failed", flush=True)
        finally:
            bench.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
