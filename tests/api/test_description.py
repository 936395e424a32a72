"""The running server conforms to its description in `/api/openapi.json`.

Schemathesis sends requests that the description allows and requests that it forbids, and checks the
status, headers and body of every response against it.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import urllib.request

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
BINARY = os.environ.get("GCS_UPLOADER_BIN", ROOT / "target" / "debug" / "gcs-uploader")
TIMEOUT = 600  # seconds, for what takes half a minute on an idle machine
SCHEMATHESIS = pathlib.Path(sys.executable).with_name("schemathesis")


@contextlib.contextmanager
def server(*flags):
    """Run a server with the embedded emulator on a free port, and yield its URL."""
    command = [BINARY, "serve", "--emulator", "--listen", "127.0.0.1:0", "--max-upload-size", "1MiB"]
    with subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stderr if "listening on" in line)
            # An unread log would fill the pipe and block the server.
            drain = threading.Thread(target=process.stderr.read)
            drain.start()
            yield re.search(r"http://\S+", line)[0]
        finally:
            process.terminate()
            drain.join()


def described(address):
    with urllib.request.urlopen(f"{address}/api/openapi.json", timeout=30) as answer:
        return json.load(answer)


def run(api, address, folder, *flags):
    """Schemathesis' summary of the server at `address`; every finding is a failure."""
    description = folder / "openapi.json"
    description.write_text(json.dumps(api))
    command = [SCHEMATHESIS, "--no-color", "--config-file", HERE / "schemathesis.toml", "run"]
    done = subprocess.run(
        [*command, description, "--url", address, *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    summary = done.stdout.split("= SUMMARY =")[-1].strip(" =\n")
    print(summary)
    assert done.returncode == 0, done.stdout
    return summary


def operations(api):
    paths = api["paths"].values()
    return sum(1 for path in paths for method in path if method != "parameters")


def test_whoever_may_upload_finds_nothing_that_is_not_described(tmp_path):
    with server() as address:
        api = described(address)
        assert f"Tested: {operations(api)}" in run(api, address, tmp_path)


def test_whoever_needs_a_token_for_it_finds_nothing_that_is_not_described(tmp_path):
    made = subprocess.run([BINARY, "token", "new", "ci"], capture_output=True, text=True, check=True)
    token, line = made.stdout.splitlines()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{line}\n")
    with server("--api-tokens-file", tokens) as address:
        api = described(address)
        summary = run(
            api, address, tmp_path, "--phases", "examples,coverage",
            "--header", f"Authorization: Bearer {token}",
        )
        assert f"Tested: {operations(api)}" in summary


def test_a_server_that_answers_otherwise_is_found_out(tmp_path):
    """The proof that the two above can fail: a description that lacks one status."""
    with server() as address:
        api = described(address)
        del api["paths"]["/api/upload-random"]["post"]["responses"]["400"]
        with pytest.raises(AssertionError, match="Undocumented status code"):
            run(api, address, tmp_path, "--phases", "coverage", "--include-operation-id", "uploadRandom")
