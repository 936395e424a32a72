"""One run: a fresh store, a fresh server, so many clients for so many seconds."""

import json
import math
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from .processes import wait_until_healthy
from .rivals import HERE, Sink

GIB = 1 << 30
QUIET = 0.25
# What a server may use of the processor meanwhile, in seconds.
IDLE = 0.025


@dataclass(frozen=True)
class Scene:
    """What is asked of a server."""

    name: str
    title: str
    size: int
    clients: int
    latency: int = 0
    tls: bool = False
    health: bool = False
    settings: tuple = field(default=())


def wrk_command(url, clients, seconds):
    """Whole seconds: wrk knows no others."""
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
        raise RuntimeError(f"wrk ended with {wrk.returncode}: {output}")
    return parse(output)


def parse(output):
    """What `wrk.lua` printed at the end of a run."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if len(lines) != 1:
        raise ValueError(f"wrk printed no result: {output!r}")
    return json.loads(lines[0].removeprefix("RESULT "))


def drive(url, clients, seconds, method="POST"):
    return result_of(start_wrk(url, clients, seconds, method))


def settle(sink, running):
    """Waits until the server has nothing more to do; what the store has seen by then.

    Some think for long before they send: so neither may there be anything on its way, nor may the
    server be busy.
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
    raise RuntimeError("a server goes on uploading that nobody asks any more")


@contextmanager
def stage(server, scene):
    """The server, warm, before its store."""
    with Sink(scene.latency, scene.tls) as sink:
        with server.start(sink, dict(scene.settings)) as running:
            started = wait_until_healthy(running.url)
            drive(upload_url(running, 1024), min(scene.clients, 32), 1)
            settle(sink, running)
            yield sink, running, started


def upload_url(running, size):
    return f"{running.url}/api/upload-random?size={size}"


def measure(server, scene, seconds):
    with stage(server, scene) as (sink, running, started):
        before, busy, began = sink.seen(), running.processor_seconds(), time.monotonic()
        wrk = start_wrk(upload_url(running, scene.size), scene.clients, seconds, "POST")
        health = None
        if scene.health:
            time.sleep(0.2)
            health = drive(f"{running.url}/api/health", 1, seconds - 1, "GET")
        result = result_of(wrk)
        after = settle(sink, running)
        took = time.monotonic() - began - QUIET
        busy = running.processor_seconds() - busy
        peak = running.peak_memory()
    uploads = after["objects"] - before["objects"]
    gib = (after["bytes"] - before["bytes"]) / GIB
    answered = result["requests"] - result["refused"]
    return {
        "rate": answered / result["seconds"],
        "mbs": gib * GIB / 1e6 / took,
        "cpu_gib": busy / gib if gib else None,
        "cpu_1000": busy / uploads * 1000 if uploads else None,
        "p50": result["p50"],
        "p99": result["p99"],
        "peak": peak,
        "connections": (after["connections"] - before["connections"]) / uploads * 1000 if uploads else None,
        "refused": result["refused"] + result["broken"],
        "health_p50": health and health["p50"],
        "health_p99": health and health["p99"],
        "started": started * 1000,
    }


def measure_tool(tool, scene, gib):
    count = max(1, round(gib * GIB / scene.size))
    with Sink(scene.latency, scene.tls) as sink:
        seconds, busy = tool.measure(sink, scene.size, count)
    volume = count * scene.size
    return {
        "rate": count / seconds,
        "mbs": volume / 1e6 / seconds,
        "cpu_gib": busy / volume * GIB,
        "cpu_1000": busy / count * 1000,
    }


def soak(server, uploads, steps):
    """What an upload costs, and what memory is taken, over a long run: a line for each step."""
    scene = Scene("soak", "", 1024, 8)
    lines = []
    with stage(server, scene) as (sink, running, _):
        first = drive(upload_url(running, 1024), 8, 1)
        seconds = math.ceil(uploads / steps / (first["requests"] / first["seconds"]))
        for _ in range(steps):
            before, busy = settle(sink, running), running.processor_seconds()
            drive(upload_url(running, 1024), 8, seconds)
            made = settle(sink, running)["objects"] - before["objects"]
            cost = (running.processor_seconds() - busy) / made * 1000
            lines.append({"uploads": made, "cpu_1000": cost, "memory": running.memory()})
    return lines


def prove(server):
    """Fails unless a store that looks at every byte takes what the server sends."""
    with Sink(verify=True) as sink, server.start(sink) as running:
        wait_until_healthy(running.url)
        for size in (1024, (1 << 20) + 3, 16 << 20):
            result = drive(upload_url(running, size), 2, 1)
            seen = settle(sink, running)
            if result["refused"] or result["broken"] or not seen["objects"]:
                raise RuntimeError(f"{server.name} does not upload {size} bytes: {result} {seen}")
