"""Many customers are the same code: planned, applied, rendered and checked against each other.

CUSTOMERS says how many (30 in `make test`, 1000 in `make terraform-thousand`); the figures are
printed, and written to the file that FIGURES names.
"""

import concurrent.futures
import http.server
import os
import threading
import time

import pytest

from workspace import changes, owner

from isolation import shared, strangers
from rendering import Kustomize, Tool

COUNT = int(os.environ.get("CUSTOMERS", "30"))


def entries(count: int) -> dict:
    """Every third customer of each identity, and settings that differ."""
    kinds = (
        {},
        {"identity": "key", "expire_after_days": 90, "object_prefix": "incoming/"},
        {"impersonation": True, "versioning": True, "labels": {"tier": "gold"}},
    )
    return {f"customer-{n:04}": {"sizes": {"workers": 8 + n % 32}} | kinds[n % 3] for n in range(count)}


@pytest.fixture
def state_over_http():
    """A remote state, as everybody with many customers has: the default one, a file, is written
    anew after every single resource."""
    held = {}

    class State(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(200, held["state"]) if "state" in held else self.answer(404)

        def do_POST(self):
            held["state"] = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(200)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), State)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/state"
    server.shutdown()


def test_many_customers(new_workspace, state_over_http, capsys):
    figures = []

    def measured(what: str, *arguments: str) -> None:
        cost = workspace.measured(*arguments)
        figures.append(f"{what}: {cost.seconds:.1f} s ({cost.cpu_seconds:.1f} s of CPU), {cost.peak_mib:.0f} MiB at most")

    def timed(what: str, begin: float) -> None:
        figures.append(f"{what}: {time.monotonic() - begin:.1f} s")

    workspace = new_workspace()
    (workspace.root / "backend_override.tf").write_text(f'terraform {{\n  backend "http" {{\n    address = "{state_over_http}"\n  }}\n}}\n')
    workspace.terraform("init", "-input=false", "-reconfigure")
    workspace.customers(entries(COUNT))

    measured("plan", "plan", "-input=false", "-out=test.tfplan")
    measured("apply, every overlay written from the template", "apply", "-input=false", "test.tfplan")
    measured("plan with nothing to do", "plan", "-input=false", "-detailed-exitcode")

    begin = time.monotonic()
    tool = Tool.find()
    assert tool, "neither kustomize nor kubectl is installed"
    folders = sorted(page.parent for page in workspace.overlays.glob("*/kustomization.yaml"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        overlays = list(pool.map(Kustomize(tool).overlay, folders))
    timed("build of every overlay with kustomize", begin)
    assert [overlay.name for overlay in overlays] == list(entries(COUNT))

    begin = time.monotonic()
    assert shared(overlays) == {}
    for overlay in overlays[:: max(1, COUNT // 30)]:
        assert strangers(overlay, overlays) == set()
    timed("comparison of every overlay with every other: nothing in common", begin)

    one_more = entries(COUNT) | {"customer-new": {}}
    workspace.customers(one_more)
    plan = changes(workspace.plan())
    assert {owner(address) for address in plan} == {"customer-new"}

    said = f"{COUNT} customers\n  " + "\n  ".join(figures)
    if "FIGURES" in os.environ:
        with open(os.environ["FIGURES"], "w") as file:
            file.write(said + "\n")
    with capsys.disabled():
        print("\n" + said)
