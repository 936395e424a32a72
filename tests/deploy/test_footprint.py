"""What an instance needs at its busiest fits what the overlay grants it. The measured figures go
into docs/capacity.md by hand; FOOTPRINT_REPORT names a file that they are written to."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rendering import Overlay
from running import Server
from emulators import DiscardingStore
from test_agreement import quantity

# Not beside the build of the image, which takes every processor: uploads would wait too long.
pytestmark = pytest.mark.xdist_group("image")


def size(text: str) -> int:
    """A size as the server's settings write it: 4MiB."""
    number, unit = re.fullmatch(r"(\d+)([KMG])iB", text).groups()
    return int(number) * 1024 ** (1 + "KMG".index(unit))


def most_resident(pid: int) -> int:
    """The most memory that a process ever had resident, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM: is this Linux?")


def test_memory_with_every_worker_busy_and_a_queue_fits_the_request(binary: Path, overlay: Overlay):
    workers = int(overlay.settings["WORKERS"])
    ours = {"WORKERS": str(workers), "QUEUE_DEPTH": overlay.settings["QUEUE_DEPTH"]}
    uploads = workers + min(int(ours["QUEUE_DEPTH"]), 2 * workers)
    with DiscardingStore() as store, Server(binary, ours, store=store.url) as running:
        with ThreadPoolExecutor(uploads) as clients:
            answers = list(
                clients.map(
                    lambda _: running.post("/api/upload-random?size=8MiB"), range(uploads)
                )
            )
        assert {answer["size"] for answer in answers} == {8 << 20}
        peak = most_resident(running.process.pid)
    if report := os.environ.get("FOOTPRINT_REPORT"):
        with Path(report).open("a") as lines:
            figures = {"overlay": overlay.name, "workers": workers, "peak_bytes": peak}
            lines.write(json.dumps(figures) + "\n")
    resources = overlay.container["resources"]
    assert peak <= quantity(resources["requests"]["memory"]), "what it needs is not promised to it"
    # Beyond the peak: TLS, which the emulator does not use, and the memory of a burst of clients.
    limit = quantity(resources["limits"]["memory"])
    assert 2 * peak <= limit
    # Clients' files besides: one window for each worker, at the worst.
    window = size(overlay.settings["UPLOAD_WINDOW"])
    assert peak + workers * window <= limit
