#!/usr/bin/env python3
"""Measures memory: the gateway at rest, with five plugins, and what each idle connection costs; nginx and haproxy beside it.

    cargo build --release
    conformance/bench/gateway/memory.py --varco target/release/varco --connections 2000

Connections come over half a minute; each has answered one request and then rests. What counts is the growth of the process's own memory (anonymous
pages, from smaps_rollup) between none and all connections, divided by their number; the kernel's buffers are not in it.
Goals: 25 MB at rest with five plugins beyond the definition pack, 16 KB a connection.
"""

import argparse
import json
import pathlib
import resource
import shutil
import socket
import ssl
import sys
import tempfile
import time
import urllib.request

from servers import Bench, missing


def memory(side):
    """Kilobytes of memory that its processes have made, and of pages of files (program, definition packs)."""
    own, mapped = 0, 0
    for pid in side.pids():
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        sizes = {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in lines[1:])}
        own += sizes["Anonymous"]
        mapped += sizes["Rss"] - sizes["Anonymous"]
    return own, mapped


def settled(side):
    """The memory once it has stopped changing."""
    last, same = -1, 0
    for _ in range(100):
        now = memory(side)[0]
        same = same + 1 if abs(now - last) < 64 else 0
        if same == 15:
            break
        last = now
        time.sleep(0.2)
    return last


class Caller:
    """A connection in HTTP/1.1."""

    alpn = "http/1.1"

    def __init__(self, port, tls, number):
        # Each hundred connections come from an address of their own, as callers do.
        line = socket.socket()
        line.bind((f"127.0.{1 + number // 100 // 250}.{1 + number // 100 % 250}", 0))
        line.connect(("127.0.0.1", port))
        self.line = tls.wrap_socket(line, server_hostname="127.0.0.1") if tls else line
        self.unread = b""

    def receive(self, size):
        while len(self.unread) < size:
            piece = self.line.recv(65536)
            if not piece:
                raise SystemExit("a connection ended before its answer")
            self.unread += piece
        taken, self.unread = self.unread[:size], self.unread[size:]
        return taken

    def ask(self, path, token):
        """True where the answer is 200."""
        self.line.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.receive(1)
        rows = head.lower().split(b"\r\n")
        self.receive(next((int(row.split(b":")[1]) for row in rows if row.startswith(b"content-length")), 0))
        return head.split()[1] == b"200"

    def close(self):
        self.line.close()


class CallerHttp2(Caller):
    """A connection in HTTP/2 (RFC 9113), its header fields written out (RFC 7541 §6.2.2)."""

    alpn = "h2"
    HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 1, 4, 6, 7, 8
    END_STREAM, ACK, END_HEADERS = 1, 1, 4

    def __init__(self, port, tls, number):
        super().__init__(port, tls, number)
        self.stream = 1
        self.line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self.frame(self.SETTINGS, 0, 0, b"")
                          + self.frame(self.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big")))

    @staticmethod
    def frame(kind, flags, stream, payload):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    @staticmethod
    def value(text):
        length, data = len(text), text.encode()
        if length < 127:
            return bytes([length]) + data
        length, written = length - 127, b"\x7f"
        while length > 127:
            written, length = written + bytes([length % 128 + 128]), length // 128
        return written + bytes([length]) + data

    def ask(self, path, token):
        # GET and https by their numbers, then :path, :authority and authorization by theirs.
        fields = b"\x82\x87\x04" + self.value(path) + b"\x01" + self.value("x") + b"\x0f\x08" + self.value(f"Bearer {token}")
        self.line.sendall(self.frame(self.HEADERS, self.END_HEADERS | self.END_STREAM, self.stream, fields))
        good, ended = False, False
        while not ended:
            head = self.receive(9)
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            payload = self.receive(int.from_bytes(head[:3], "big"))
            if kind in (self.SETTINGS, self.PING) and not flags & self.ACK:
                self.line.sendall(self.frame(kind, self.ACK, 0, payload if kind == self.PING else b""))
            elif kind == self.GOAWAY:
                raise SystemExit("a connection was told to go before its answer")
            elif stream == self.stream:
                # `:status: 200` by its number; a table's size may be told before it.
                good |= kind == self.HEADERS and b"\x88" in payload[:4]
                ended = bool(flags & self.END_STREAM)
        self.stream += 2
        return good


def connections(side, way, count, path, token, folder):
    """Bytes of memory an idle connection."""
    caller = CallerHttp2 if way == "h2" else Caller
    tls = None
    if way != "h1":
        tls = ssl.create_default_context(cafile=folder / "server.pem")
        tls.set_alpn_protocols([caller.alpn])
    port = side.ports[way]
    warm = [caller(port, tls, number) for number in range(64)]
    # As many requests as follow: what their records leave in caches is no connection's.
    for number in range(max(count, len(warm))):
        assert warm[number % len(warm)].ask(path, token)
    for line in warm:
        line.close()
    before = settled(side)
    lines = []
    for number in range(count):
        lines.append(caller(port, tls, number))
        assert lines[-1].ask(path, token)
        if number % max(count // 10, 1) == 0:
            time.sleep(2.5)
    after = settled(side)
    for line in lines[::50]:
        assert line.ask(path, token), "a connection that has rested must answer"
    for line in lines:
        line.close()
    return (after - before) * 1024 / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--varco", type=pathlib.Path, default=pathlib.Path("target/release/varco"), help="the program")
    parser.add_argument("--plugin", type=pathlib.Path, help="a plugin's manifest (default: the sample in plugins/samples)")
    parser.add_argument("--connections", type=int, default=2000)
    options = parser.parse_args()
    here = pathlib.Path(__file__).resolve()
    manifest = (options.plugin or here.parents[3] / "plugins/samples/components/narrative-stripper.plugin.json").resolve()
    if lacking := missing(["openssl", "nginx"]):
        sys.exit(f"not installed: {', '.join(lacking)}")
    if not options.varco.exists():
        sys.exit(f"{options.varco} is not there: cargo build --release")
    need = options.connections + 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(need, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory(prefix="varco-memory-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        bench = Bench(folder, options.varco.resolve(), manifest)
        try:
            measure(bench, options, manifest, folder)
        finally:
            bench.stop()


def five(manifest, folder):
    """The plugin five times under five names."""
    text = json.loads(manifest.read_text())
    shutil.copy(manifest.parent / text["component"], folder)
    settings = ""
    for number in range(5):
        text["name"] = f"plugin-{number}"
        path = folder / f"plugin-{number}.plugin.json"
        path.write_text(json.dumps(text))
        settings += f'[[plugin]]\nmanifest = "{path}"\n'
    return settings


def started(bench, name, behind, tls, more):
    """A sidecar, and its memory before any request."""
    side = bench.gateway(name, behind, tls=tls, more=more)
    return side, settled(side), memory(side)[1]


def measure(bench, options, manifest, folder):
    origin = bench.origin()
    behind = origin.ports["h1"]
    print("at rest, after one request            own KB   files' pages KB")
    sides = []
    for name, tls, more in (("varco", False, ""), ("varco-tls", True, ""), ("varco-five-plugins", False, five(manifest, folder))):
        side, own, mapped = started(bench, name, behind, tls, more)
        print(f"  {name:32}{own:>10}{mapped:>18}")
        sides.append((name, side))
    rivals = [("nginx", bench.nginx(behind))]
    if not missing(["haproxy"]):
        rivals.append(("haproxy", bench.haproxy(behind)))
    for name, side in rivals:
        own, mapped = memory(side)
        print(f"  {name:32}{own:>10}{mapped:>18}")
    print(f"\nan idle connection, of {options.connections}         bytes")
    for name, side in sides[:2] + rivals:
        for way in ("h1", "h1s", "h2"):
            if way in side.ports:
                token = side.token or bench.token("the same length for everyone")
                each = connections(side, way, options.connections, "/fhir/Patient/p1", token, folder)
                print(f"  {name + ', ' + way:32}{each:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
