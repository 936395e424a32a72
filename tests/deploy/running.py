"""A server of ours, or a store, as a process of its own on a free port."""

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

# Nothing listens there: whoever asks is refused at once.
NO_STORE = "http://127.0.0.1:1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_answered(url: str, process: subprocess.Popen, patience: float = 10) -> None:
    """Waits until a GET of `url` is answered with success, or says why it will not be."""
    deadline = time.monotonic() + patience
    while True:
        assert process.poll() is None, f"{process.args[0]} ended by itself: {process.returncode}"
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError as error:
            assert time.monotonic() < deadline, f"{url} does not answer: {error}"
            time.sleep(0.01)


class Server:
    """`gcs-uploader serve` with these settings, in an otherwise empty environment."""

    def __init__(self, binary: Path, settings: dict[str, str]):
        address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{address}"
        self._settings = {"LISTEN_ADDR": address, "STORAGE_EMULATOR_HOST": NO_STORE} | settings
        self._binary = binary

    def __enter__(self) -> "Server":
        self.process = subprocess.Popen(
            [self._binary, "serve"],
            env={"PATH": os.environ["PATH"]} | self._settings,
            stderr=subprocess.DEVNULL,
        )
        until_answered(f"{self.url}/api/health", self.process)
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


class Store:
    """fake-gcs-server with one empty bucket, its objects in memory."""

    def __init__(self, program: Path, folder: Path, bucket: str, prefix: tuple[str, ...] = ()):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / bucket).mkdir(parents=True)
        self._command = [
            *prefix, str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port),
            "-backend", "memory", "-data", str(folder),
        ]  # fmt: skip

    def __enter__(self) -> "Store":
        self.process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        return self

    def until_ready(self) -> "Store":
        until_answered(f"{self.url}/_internal/healthcheck", self.process)
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
