"""The servers and tools that are measured: gcs-uploader, its peers, and tools that show the cost of moving bytes."""

import os
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .processes import Running, fetch, run

HERE = Path(__file__).resolve().parent
BENCHES = HERE.parent
RIG = BENCHES / "rig" / "target" / "release"
BINARY = Path(os.environ.get("GCS_UPLOADER_BIN", BENCHES.parent / "target" / "release" / "gcs-uploader"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sink(Running):
    """The storage server of one run; discards what it receives."""

    def __init__(self, latency=0, tls=False, verify=False):
        self.folder = tempfile.TemporaryDirectory()
        self.ca = str(Path(self.folder.name) / "ca.pem") if tls else None
        options = ["--tls", self.ca] if tls else []
        options += ["--verify"] if verify else []
        super().__init__([RIG / "sink", "--latency", latency, *options])
        self.url = self.first_line().replace("127.0.0.1", "localhost")
        self.tls = tls

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.folder.cleanup()

    def seen(self):
        return fetch(f"{self.url}/_sink", self.ca)


@dataclass
class Server:
    """A server that is measured over HTTP."""

    name: str
    label: str
    command: list
    settings: dict = field(default_factory=dict)

    def start(self, sink, more=None):
        port = free_port()
        fill = {"PORT": str(port), "SINK": sink.url}
        words = [str(word).format(**fill) for word in self.command]
        settings = {key: value.format(**fill) for key, value in {**self.settings, **(more or {})}.items()}
        if sink.ca:
            settings["SSL_CERT_FILE"] = sink.ca
        running = Running(words, settings)
        running.url = f"http://127.0.0.1:{port}"
        return running


def gunicorn(*options):
    words = [sys.executable, "-m", "gunicorn", "--log-level", "warning", "--bind", "127.0.0.1:{PORT}"]
    return [*words, "--timeout", "600", "--backlog", "2048", *options, "--chdir", BENCHES / "peers", "flask_peer:app"]


EMULATED = {"STORAGE_EMULATOR_HOST": "{SINK}"}
AXUM = [RIG / "axum-peer", "--listen", "127.0.0.1:{PORT}", "--store", "{SINK}"]

OURS = Server(
    "ours",
    "gcs-uploader",
    [BINARY, "serve", "--listen", "127.0.0.1:{PORT}", "--bucket", "bucket"],
    EMULATED,
)
AHEAD = Server("ours-ahead", "gcs-uploader, READY_SESSIONS=64", OURS.command, {**EMULATED, "READY_SESSIONS": "64"})
FLASK = Server("flask", "Flask, 1 worker", gunicorn("--workers", "1"), EMULATED)
FLASK_THREADS = Server(
    "flask-2x8",
    "Flask, 2 workers × 8 threads",
    gunicorn("--workers", "2", "--threads", "8"),
    EMULATED,
)
PLAIN = Server("axum", "axum, ChaCha12", AXUM)
TUNED = Server("axum-tuned", "axum, tuned", [*AXUM, "--tuned"])
SERVERS = [OURS, AHEAD, FLASK, FLASK_THREADS, PLAIN, TUNED]


@dataclass
class Tool:
    """A program that uploads a number of objects and exits."""

    name: str
    label: str
    command: object

    def measure(self, sink, size, count):
        with tempfile.TemporaryDirectory() as folder:
            words = self.command(sink, size, count, Path(folder))
            before = sink.seen()
            seconds, busy = run(words)
            after = sink.seen()
        if after["bytes"] - before["bytes"] != size * count:
            raise RuntimeError(f"{self.name} did not upload the expected number of bytes")
        return seconds, busy


def baseline(*options):
    def command(sink, size, count, _):
        ca = ["--ca", sink.ca] if sink.ca else []
        return [RIG / "baseline", sink.url, "--size", size, "--count", count, *options, *ca]

    return command


def curl(sink, size, count, folder):
    """Upload a file of zeros to one session repeatedly, on one connection."""
    file = folder / "zeros"
    file.touch()
    os.truncate(file, size)
    # The sink's session URL holds the metadata of its response; curl only needs a valid one.
    session = f"{sink.url}/upload/storage/v1/b/bucket/o?uploadType=resumable&name=n&crc32c=AAAAAA%3D%3D&upload_id=1"
    ca = ["--cacert", sink.ca] if sink.ca else []
    puts = [word for _ in range(count) for word in ("--upload-file", file, session)]
    return ["curl", "--silent", "--show-error", "--fail", "--output", "/dev/null", *ca, *puts]


BASELINE = Tool("baseline", "baseline: zeros", baseline())
BASELINE_CRC = Tool("baseline-crc", "baseline: zeros, with CRC32C", baseline("--crc"))
CURL = Tool("curl", "curl -T", curl)
TOOLS = [BASELINE, BASELINE_CRC, CURL]
