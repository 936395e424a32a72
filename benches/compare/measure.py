"""One run: a new store, a new server, and a number of clients for a number of seconds."""

import json
import math
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from .competitors import HERE, Sink
from .processes import wait_until_healthy

GIB = 1 << 30
QUIET = 0.25
# Processor seconds below which a server counts as idle over that time.
IDLE = 0.025


@dataclass(frozen=True)
class Scenario:
    """A workload: object size, number of clients, and conditions."""

    name: str
    title: str
    size: int
    clients: int
    latency: int = 0
    tls: bool = False
    health: bool = False
    settings: tuple = field(default=())


def wrk_command(url, clients, seconds):
    """Build the command; wrk takes whole seconds only."""
    script = HERE / "wrk.lua"
    return ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "600s", "-s", str(script), url]


def start_wrk(url, clients, seconds, method):
    return subprocess.Popen(
        wrk_command(url, clients, seconds),
        env={"METHOD": method, "PATH": "/usr/bin:/usr/local/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )


def result_of(wrk):
    output, _ = wrk.communicate()
    if wrk.returncode != 0:
        raise RuntimeError(f"wrk exited with {wrk.returncode}: {output}")
    return parse(output)


def parse(output):
    """Parse the result that `wrk.lua` printed at the end of a run."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if len(lines) != 1:
        raise ValueError(f"wrk printed no result: {output!r}")
    return json.loads(lines[0].removeprefix("RESULT "))


def drive(url, clients, seconds, method="POST"):
    return result_of(start_wrk(url, clients, seconds, method))


def settle(sink, running):
    """Wait until the server has finished its work, and return the store's counters.

    Some servers compute for a long time before they send, so nothing may be in flight and the
    server must be idle as well.
    """
    before, busy, since = sink.seen(), running.processor_seconds(), time.monotonic()
    deadline = since + 120
    while time.monotonic() < deadline:
        time.sleep(0.02)
        now, busy_now = sink.seen(), running.processor_seconds()
        moved = any(now[key] != before[key] for key in ("bytes", "objects", "starts"))
        if moved or now["in_flight"] or busy_now - busy > IDLE:
            before, busy, since = now, busy_now, time.monotonic()
        elif time.monotonic() - since > QUIET:
            return now
    raise RuntimeError("the server continues to upload after its clients have ended")


@contextmanager
def running_server(server, scenario):
    """Start a store and a server, and warm both up."""
    with Sink(scenario.latency, scenario.tls) as sink:
        with server.start(sink, dict(scenario.settings)) as running:
            started = wait_until_healthy(running.url)
            drive(upload_url(running, 1024), min(scenario.clients, 32), 1)
            settle(sink, running)
            yield sink, running, started


def upload_url(running, size):
    return f"{running.url}/api/upload-random?size={size}"


def measure(server, scenario, seconds):
    with running_server(server, scenario) as (sink, running, started):
        before, busy, began = sink.seen(), running.processor_seconds(), time.monotonic()
        wrk = start_wrk(upload_url(running, scenario.size), scenario.clients, seconds, "POST")
        health = None
        if scenario.health:
            time.sleep(0.2)
            health = drive(f"{running.url}/api/health", 1, seconds - 1, "GET")
        result = result_of(wrk)
        after = settle(sink, running)
        took = time.monotonic() - began - QUIET
        busy = running.processor_seconds() - busy
        peak = running.peak_memory()
    if health and not health["requests"]:
        # No request was answered during the run, so the latency is at least its length.
        health["p50"] = health["p99"] = health["seconds"] * 1000
    uploads = after["objects"] - before["objects"]
    gib = (after["bytes"] - before["bytes"]) / GIB
    answered = result["requests"] - result["refused"]
    return {
        "rate": answered / result["seconds"],
        "mbs": gib * GIB / 1e6 / took,
        "cpu_gib": busy / gib if gib else None,
        "cpu_1000": busy / uploads * 1000 if uploads else None,
        "p50": result["p50"] if answered else None,
        "p99": result["p99"] if answered else None,
        "peak": peak,
        "connections": (after["connections"] - before["connections"]) / uploads * 1000 if uploads else None,
        "refused": result["refused"] + result["broken"],
        "health_p50": health and health["p50"],
        "health_p99": health and health["p99"],
        "started": started * 1000,
    }


def measure_tool(tool, scenario, gib):
    count = max(1, round(gib * GIB / scenario.size))
    with Sink(scenario.latency, scenario.tls) as sink:
        seconds, busy = tool.measure(sink, scenario.size, count)
    volume = count * scenario.size
    return {
        "rate": count / seconds,
        "mbs": volume / 1e6 / seconds,
        "cpu_gib": busy / volume * GIB,
        "cpu_1000": busy / count * 1000,
    }


def soak(server, uploads, steps):
    """Measure the CPU per upload and the memory over a long run, once per step."""
    scenario = Scenario("soak", "", 1024, 8)
    lines = []
    with running_server(server, scenario) as (sink, running, _):
        first = drive(upload_url(running, 1024), 8, 1)
        seconds = math.ceil(uploads / steps / (first["requests"] / first["seconds"]))
        for _ in range(steps):
            before, busy = settle(sink, running), running.processor_seconds()
            drive(upload_url(running, 1024), 8, seconds)
            made = settle(sink, running)["objects"] - before["objects"]
            cost = (running.processor_seconds() - busy) / made * 1000
            lines.append({"uploads": made, "cpu_1000": cost, "memory": running.memory()})
    return lines


def verify_uploads(server):
    """Fail unless a store that verifies every byte accepts what the server sends."""
    with Sink(verify=True) as sink, server.start(sink) as running:
        wait_until_healthy(running.url)
        for size in (1024, (1 << 20) + 3, 16 << 20):
            result = drive(upload_url(running, size), 2, 1)
            seen = settle(sink, running)
            if result["refused"] or result["broken"] or not seen["objects"]:
                raise RuntimeError(f"{server.name} does not upload {size} bytes: {result} {seen}")
