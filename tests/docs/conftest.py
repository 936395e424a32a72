"""A server with a stand-in for Cloud Storage, for what the documentation says of a running one."""

import os
import pathlib
import re
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.environ.get("GCS_UPLOADER_BIN", ROOT / "target" / "debug" / "gcs-uploader")


@pytest.fixture(scope="session")
def binary():
    return BINARY


@pytest.fixture(scope="session")
def server():
    """The authority of one on a free port."""
    command = [BINARY, "serve", "--emulator", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            line = next(line for line in process.stderr if "listening on" in line)
            # A log that nobody reads would fill the pipe, and hold the server up.
            drain = threading.Thread(target=process.stderr.read)
            drain.start()
            yield re.search(r"http://(\S+)", line)[1]
        finally:
            process.terminate()
            drain.join()
