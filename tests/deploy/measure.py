"""Prints what one instance needs, for docs/capacity.md: `python tests/deploy/measure.py BINARY`.

The store is an emulator that keeps nothing, on the same machine; so this shows what the server itself
costs (its processor time and its memory), not how fast Cloud Storage is.
"""

import os
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from running import Server
from emulators import DiscardingStore

TICKS = os.sysconf("SC_CLK_TCK")
GIB = 1 << 30
MIB = 1 << 20


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory(pid: int) -> float:
    """In MiB."""
    (line,) = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in x]
    return int(line.split()[1]) / 1024


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1, and its key, in one file."""
    both = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=store", "-days", "2", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


def encrypted(store: DiscardingStore, pem: Path) -> DiscardingStore:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    store.http.socket = context.wrap_socket(
        store.http.socket, server_side=True, do_handshake_on_connect=False
    )
    store.url = store.url.replace("http://", "https://")
    return store


def uploads(running: Server, count: int, size: int, at_a_time: int) -> None:
    with ThreadPoolExecutor(at_a_time) as clients:
        list(clients.map(lambda _: running.post(f"/api/upload-random?size={size}"), range(count)))


def cost(binary: Path, workers: int, count: int, size: int, pem: Path | None) -> tuple:
    """Processor seconds, seconds, and peak MiB for so many uploads of this size."""
    store = DiscardingStore()
    settings = {"WORKERS": str(workers), "QUEUE_DEPTH": str(count), "MAX_UPLOAD_SIZE": "1TiB"}
    if pem is not None:
        store = encrypted(store, pem)
        settings["SSL_CERT_FILE"] = str(pem.with_name("cert.pem"))
    # The one fault that the emulator injects is not what is measured.
    store.http.broken.set()
    with store, Server(binary, settings, store=store.url) as running:
        before, began = processor_seconds(running.process.pid), time.monotonic()
        uploads(running, count, size, at_a_time=min(count, 2 * workers))
        pid = running.process.pid
        return processor_seconds(pid) - before, time.monotonic() - began, peak_memory(pid)


def start(binary: Path) -> float:
    """Milliseconds from the process's start to its first healthy answer, at best of ten."""
    took = []
    for _ in range(10):
        server = Server(binary, {})
        began = time.monotonic()
        with server:
            took.append(time.monotonic() - began)
    return min(took) * 1000


def main() -> None:
    binary = Path(sys.argv[1]).resolve()
    print(f"{os.cpu_count()} processors; {binary.stat().st_size:,} bytes of binary")
    print(f"start to healthy: {start(binary):.1f} ms")
    with tempfile.TemporaryDirectory() as folder:
        pem = certificate(Path(folder))
        print("workers  uploads      size  TLS  processor s/GiB  ms/upload  peak MiB")
        for workers, count, size, tls in (
            (8, 64, 8 * MIB, False),
            (32, 128, 8 * MIB, False),
            (64, 256, 8 * MIB, False),
            (8, 64, 8 * MIB, True),
            (32, 128, 8 * MIB, True),
            (64, 256, 8 * MIB, True),
            (4, 4, GIB, False),
            (4, 4, GIB, True),
            (32, 1024, MIB, True),
            (32, 1024, 1024, True),
        ):
            busy, _, peak = cost(binary, workers, count, size, pem if tls else None)
            print(
                f"{workers:7}  {count:7}  {size / MIB:6.3g} M  {'yes' if tls else 'no ':3}"
                f"  {busy / (count * size) * GIB:15.2f}  {busy / count * 1000:9.2f}  {peak:8.1f}"
            )


if __name__ == "__main__":
    main()
