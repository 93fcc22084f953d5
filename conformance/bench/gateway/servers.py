"""What is measured: a static FHIR server, and the proxies that stand before it. All on loopback, stopped by pid."""

import base64
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

import bodies

MEGABYTE = 1 << 20
WORKERS = os.cpu_count() or 1


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def await_port(port, process, log):
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode}: {log.read_text()[-1000:]}")
        with socket.socket() as it:
            if it.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"{process.args[0]} did not listen on {port} within ten seconds")


class Side:
    """One server: its name, its processes and a port for each way of speaking to it."""

    def __init__(self, name, process, ports, log):
        self.name, self.process, self.ports = name, process, ports
        self.token = None
        for port in set(ports.values()):
            await_port(port, process, log)

    def pids(self):
        """The process and its children: nginx and haproxy have workers."""
        found, unread = [], [self.process.pid]
        while unread:
            pid = unread.pop()
            found.append(pid)
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                unread += [int(child) for child in task.read_text().split()]
        return found

    def cpu(self):
        """Nanoseconds of CPU that its threads have used."""
        total = 0
        for pid in self.pids():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    pass
        return total

    def resident(self):
        """Kilobytes of memory that its processes hold."""
        lines = [line for pid in self.pids() for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Bench:
    """The folder of one run: certificates, keys, bodies, configurations, logs."""

    def __init__(self, folder, varco, plugin):
        self.folder, self.varco, self.plugin = folder, varco, plugin
        self.sides = []
        self._certificate()
        self._issuer()
        root = folder / "fhir"
        for path, body in (
            ("Patient/p1", bodies.text(bodies.patient())),
            ("searchset.json", bodies.text(bodies.searchset(MEGABYTE))),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(body)
        self.write("small.json", bodies.text(bodies.observation(1, 60) | {"id": None}).replace(b'"id":null,', b""))
        self.write("large.json", bodies.text(bodies.document(MEGABYTE)))

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def _run(self, *command, **more):
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **more).stdout

    def _certificate(self):
        self._run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                  "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                  "-keyout", "server.key", "-out", "server.pem")
        (self.folder / "both.pem").write_bytes((self.folder / "server.pem").read_bytes() + (self.folder / "server.key").read_bytes())

    def _issuer(self):
        self._run("openssl", "genpkey", "-algorithm", "ed25519", "-out", "issuer.key")
        raw = self._run("openssl", "pkey", "-in", "issuer.key", "-pubout", "-outform", "DER")[-32:]
        key = {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "alg": "EdDSA", "use": "sig", "x": url64(raw)}
        self.write("jwks.json", json.dumps({"keys": [key]}))

    def token(self, audience, client="bench"):
        now = int(time.time())
        claims = {
            "iss": "https://hub.test", "aud": audience, "iat": now, "exp": now + 14400, "sub": "dr-rossi",
            "client_id": client, "scope": "system/*.cruds",
            "extensions": {"ihe_iua": {
                "subject_organization_id": ["urn:oid:2.16.840.1.113883.2.9.4.1.2|030943"],
                "subject_role": [{"system": "urn:test:role", "code": "AAS"}],
                "purpose_of_use": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}]}}}
        unsigned = ".".join(url64(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "kid": "k1"}, claims))
        self.write("unsigned", unsigned)
        signature = self._run("openssl", "pkeyutl", "-sign", "-inkey", "issuer.key", "-rawin", "-in", "unsigned")
        return f"{unsigned}.{url64(signature)}"

    def start(self, name, command, ports):
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT)
        side = Side(name, process, ports, log)
        self.sides.append(side)
        return side

    def stop(self):
        for side in reversed(self.sides):
            side.stop()

    def _nginx(self, name, server):
        home = self.folder / f"{name}-home"
        home.mkdir(mode=0o755)
        text = f"""worker_processes {WORKERS}; daemon off; pid {home}/pid; error_log stderr warn;
            events {{ worker_connections 4096; }}
            http {{
              access_log off; default_type application/fhir+json; keepalive_requests 100000000; client_max_body_size 64m;
              client_body_buffer_size 2m; sendfile on; tcp_nodelay on;
              client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c; uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
              {server}
            }}"""
        return ["nginx", "-p", str(home), "-e", "stderr", "-c", str(self.write(f"{name}.conf", text))]

    def origin(self):
        """A server of static FHIR: a Patient, a searchset, and 201 for whatever is created."""
        plain, h2c, tls = free_port(), free_port(), free_port()
        def created(kind):
            return f'add_header Location "http://127.0.0.1:{plain}/fhir/{kind}/new/_history/1"; return 201;'

        server = f"""server {{
            listen 127.0.0.1:{plain}; listen 127.0.0.1:{h2c} http2; listen 127.0.0.1:{tls} ssl http2;
            ssl_certificate {self.folder}/server.pem; ssl_certificate_key {self.folder}/server.key;
            root {self.folder};
            location = /fhir/Observation {{ if ($request_method = POST) {{ {created("Observation")} }} try_files /fhir/searchset.json =404; }}
            location = /fhir/DocumentReference {{ {created("DocumentReference")} }} }}"""
        return self.start("direct", self._nginx("direct", server), {"h1": plain, "h2c": h2c, "h1s": tls, "h2": tls})

    def nginx(self, origin):
        plain, h2c, tls = free_port(), free_port(), free_port()
        server = f"""upstream fhir {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 100000000; }}
          server {{
            listen 127.0.0.1:{plain}; listen 127.0.0.1:{h2c} http2; listen 127.0.0.1:{tls} ssl http2;
            ssl_certificate {self.folder}/server.pem; ssl_certificate_key {self.folder}/server.key;
            location / {{ proxy_pass http://fhir; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffers 16 128k; proxy_buffer_size 128k; proxy_busy_buffers_size 256k; }} }}"""
        return self.start("nginx", self._nginx("nginx", server), {"h1": plain, "h2c": h2c, "h1s": tls, "h2": tls})

    def haproxy(self, origin):
        plain, h2c, tls = free_port(), free_port(), free_port()
        text = f"""global
    nbthread {WORKERS}
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend entry
    bind 127.0.0.1:{plain}
    bind 127.0.0.1:{h2c} proto h2
    bind 127.0.0.1:{tls} ssl crt {self.folder}/both.pem alpn h2,http/1.1
    default_backend fhir
backend fhir
    server origin 127.0.0.1:{origin}
"""
        command = ["haproxy", "-db", "-f", str(self.write("haproxy.cfg", text))]
        return self.start("haproxy", command, {"h1": plain, "h2c": h2c, "h1s": tls, "h2": tls})

    def gateway(self, name, origin, tls, more="", path="/fhir"):
        """A sidecar; plain, or with TLS: each instance speaks one of them. Its FHIR base, and its server's, stand at `path`."""
        port, admin = free_port(), free_port()
        base = f"{'https' if tls else 'http'}://127.0.0.1:{port}{path}"
        listen = f'tls = {{ certificate = "{self.folder}/server.pem", key = "{self.folder}/server.key" }}\n' if tls else ""
        config = f"""[site]
id = "030913"
base_url = "{base}"
[listen]
address = "127.0.0.1:{port}"
{listen}[upstream]
url = "http://127.0.0.1:{origin}{path}"
[tokens]
issuer = "https://hub.test"
jwks = "{self.folder}/jwks.json"
[store]
path = "{self.folder}/{name}.sqlite"
[admin]
address = "127.0.0.1:{admin}"
[limits]
requests_per_second = 1000000
burst = 1000000
search_matches = 5000
page_size = 1000
{more}"""
        command = [str(self.varco), "serve", "--config", str(self.write(f"{name}.toml", config))]
        side = self.start(name, command, {"h1s": port, "h2": port} if tls else {"h1": port, "h2c": port})
        side.token, side.admin = self.token(base), admin
        if path != "/fhir":
            return side
        request = urllib.request.Request(
            f"{base}/Consent", bodies.text(bodies.consent()),
            {"Authorization": f"Bearer {side.token}", "Content-Type": "application/fhir+json"})
        trust = ssl.create_default_context(cafile=self.folder / "server.pem") if tls else None
        with urllib.request.urlopen(request, context=trust) as answer:
            assert answer.status == 201, answer.status
        return side

    def passing(self, name, origin, tls):
        """A sidecar that hands the same requests on: its FHIR base stands elsewhere, where nobody asks."""
        more = f"""[[passthrough]]
name = "bench"
path = "/fhir"
methods = ["GET", "POST"]
clients = ["bench"]
consent = "not-checked"
reason = "What lies there was made for this measurement."
audit = "minute"
[passthrough.server]
url = "http://127.0.0.1:{origin}/fhir"
"""
        return self.gateway(name, origin, tls, more, "/elsewhere")

    def with_plugin(self):
        """The settings that put the sample plugin before every body."""
        return f'[[plugin]]\nmanifest = "{self.plugin}"\n' if self.plugin else ""


def url64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def missing(tools):
    return [tool for tool in tools if shutil.which(tool) is None]
