"""Programs that are started, measured from outside and stopped."""

import json
import os
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
TIMEOUT = 30.0


class Running:
    """A program and its children, stopped at the end of the block."""

    def __init__(self, command, settings=None, log=None):
        environment = {**os.environ, **(settings or {})}
        self.log = open(log, "ab") if log else subprocess.DEVNULL
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if self.log is not subprocess.DEVNULL:
            self.log.close()

    def first_line(self):
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} exited without output")
        return line

    def pids(self):
        return family(self.process.pid)

    def processor_seconds(self):
        """User and system."""
        return sum(processor_seconds(pid) for pid in self.pids())

    def peak_memory(self):
        """In MiB; of several processes, the sum of their peaks."""
        return sum(memory(pid, "VmHWM") for pid in self.pids())

    def memory(self):
        return sum(memory(pid, "VmRSS") for pid in self.pids())


def family(pid):
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid] + [each for child in children for each in family(int(child))]


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid, kind):
    (line,) = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith(kind)]
    return int(line.split()[1]) / 1024


def run(command, settings=None):
    """Run a program to its end; return its duration and its processor seconds."""
    began = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, **(settings or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    errors = process.stderr.read()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} exited with {process.returncode}: {errors}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def fetch(url, ca=None):
    context = ssl.create_default_context(cafile=ca) if ca else None
    with urllib.request.urlopen(url, timeout=TIMEOUT, context=context) as response:
        return json.load(response)


def wait_until_healthy(url):
    """Return the seconds until the server responds."""
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(f"{url}/api/health", timeout=5) as response:
                response.read()
            return time.monotonic() - began
        except OSError:
            if time.monotonic() - began > TIMEOUT:
                raise
            time.sleep(0.001)
