"""What faults cost: bytes sent over the object's size, and peak memory, with and without them.

Runs the release binary's `upload` against its own stand-in for Cloud Storage, which persists in
steps of 256 KiB and, where faults are asked for, resets the connection every 32 MiB on average.
"""

import json
import os
import random
import subprocess
import tempfile
import time
import urllib.request

BINARY = os.environ["GCS_UPLOADER_BIN"]
MIB = 1 << 20
BETWEEN_RESETS = 32 * MIB
ROUNDS = 3


def order_resets(emulator, size, round_number):
    """Orders resets at exponentially distributed distances, until the object is through."""
    rules, at = [], 0
    dice = random.Random(round_number)
    while at < size:
        distance = int(dice.expovariate(1 / BETWEEN_RESETS))
        action = {"break_after_request_bytes": {"bytes": distance, "with": "reset"}}
        rules.append({"on": "data", "action": action})
        at += distance
    request = urllib.request.Request(
        f"{emulator}/_emulator/faults",
        data=json.dumps(rules).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()


def upload(emulator, size):
    """The answer of one upload, and the peak memory of the process that made it."""
    arguments = ["upload", "--size", str(size), "--bucket", "bucket", "--log", "error"]
    process = subprocess.Popen(
        [BINARY, *arguments, "--storage-emulator-host", emulator], stdout=subprocess.PIPE
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(0.002)
    assert process.returncode == 0, f"the upload ended with {process.returncode}"
    return json.loads(process.stdout.read()), peak


def peak_memory(pid):
    """The most memory that the process has had so far, in MiB: what Linux calls VmHWM."""
    try:
        with open(f"/proc/{pid}/status") as status:
            lines = [line for line in status if line.startswith("VmHWM")]
    except OSError:
        return 0
    return int(lines[0].split()[1]) / 1024 if lines else 0


def measure(size, faults, round_number):
    with tempfile.TemporaryDirectory() as folder:
        command = [BINARY, "emulator", "--listen", "127.0.0.1:0", "--dir", folder]
        emulator = subprocess.Popen(
            [*command, "--bucket", "bucket"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            url = emulator.stdout.readline().strip()
            if faults:
                order_resets(url, size, round_number)
            return upload(url, size)
        finally:
            emulator.terminate()
            emulator.wait()


def main():
    print("| object | resets | resumed | bytes sent / size | peak memory, MiB |")
    print("| --- | --- | --- | --- | --- |")
    for size, name in [(MIB, "1 MiB"), (1024 * MIB, "1 GiB")]:
        for faults in [False, True]:
            runs = [measure(size, faults, number) for number in range(ROUNDS)]
            sent = sorted(answer["bytesSent"] / size for answer, _ in runs)
            memory = sorted(peak for _, peak in runs)
            resumed = sorted(answer["resumed"] for answer, _ in runs)
            print(
                f"| {name} | {'every 32 MiB' if faults else 'none'} | {resumed[ROUNDS // 2]} "
                f"| {sent[ROUNDS // 2]:.3f} ({sent[0]:.3f} to {sent[-1]:.3f}) "
                f"| {memory[ROUNDS // 2]:.1f} ({memory[0]:.1f} to {memory[-1]:.1f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
