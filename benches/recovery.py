"""What faults cost: bytes sent over the object's size, and peak memory, with and without them.

Runs the release binary's `upload` against its own emulator, which persists in
steps of 256 KiB and, where faults are asked for, resets the connection every 32 MiB on average:
with random files, which can be had again from any offset, and with standard input, of which a window
is kept.
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
WINDOW = 8 * MIB
BETWEEN_RESETS = 32 * MIB
ROUNDS = 3


def order_resets(emulator, size, request, round_number):
    """Orders resets at exponentially distributed distances, until the object is through.

    `request` is how many bytes one request brings, at the most.
    """
    rules, at = [], 0
    dice = random.Random(round_number)
    while at < size:
        distance = int(dice.expovariate(1 / BETWEEN_RESETS))
        at += distance
        requests, into_this_one = divmod(at, request)
        cut = {"bytes": min(distance, into_this_one), "with": "reset"}
        action = {"break_after_request_bytes": cut}
        rules.append({"on": "data", "action": action, "after": requests})
    request = urllib.request.Request(
        f"{emulator}/_emulator/faults",
        data=json.dumps(rules).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()


def upload(emulator, arguments, size):
    """The answer of one upload, and the peak memory of the process that made it."""
    command = [BINARY, "upload", "--bucket", "bucket", "--log", "error", *arguments]
    source = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
    process = subprocess.Popen(
        [*command, "--storage-emulator-host", emulator],
        stdin=source.stdout,
        stdout=subprocess.PIPE,
    )
    source.stdout.close()
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(0.002)
    source.wait()
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


def measure(what, size, faults, round_number):
    arguments, request = {
        "random file": (["--size", str(size)], size),
        "standard input": (["--upload-window", str(WINDOW), "-"], WINDOW),
    }[what]
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
                order_resets(url, size, request, round_number)
            return upload(url, arguments, size)
        finally:
            emulator.terminate()
            emulator.wait()


def main():
    print("| what | size | resets | resumed | bytes sent / size | peak memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    sizes = [(1024, "1 KiB"), (MIB, "1 MiB"), (1024 * MIB, "1 GiB")]
    for what in ["random file", "standard input"]:
        for size, name in sizes:
            for faults in [False, True]:
                runs = [measure(what, size, faults, number) for number in range(ROUNDS)]
                sent = sorted(answer["bytesSent"] / size for answer, _ in runs)
                memory = sorted(peak for _, peak in runs)
                resumed = sorted(answer["resumed"] for answer, _ in runs)
                print(
                    f"| {what} | {name} | {'every 32 MiB' if faults else 'none'} "
                    f"| {resumed[ROUNDS // 2]} "
                    f"| {sent[ROUNDS // 2]:.3f} ({sent[0]:.3f} to {sent[-1]:.3f}) "
                    f"| {memory[ROUNDS // 2]:.1f} ({memory[0]:.1f} to {memory[-1]:.1f}) |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
