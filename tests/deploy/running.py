"""A server of ours as a process of its own, on a port that the system chose."""

import json
import os
import re
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

# Nothing listens there: whoever asks is refused at once.
NO_STORE = "http://127.0.0.1:1"


class Server:
    """`gcs-uploader serve` with these settings, in an otherwise empty environment.

    `store` is put in Cloud Storage's place; with None the settings say which it is.
    """

    def __init__(self, binary: Path, settings: dict[str, str], store: str | None = NO_STORE):
        self._binary = binary
        self._settings = {"GCS_BUCKET": "nobodys"} | settings | {"LISTEN_ADDR": "127.0.0.1:0"}
        if store is not None:
            self._settings["STORAGE_EMULATOR_HOST"] = store
        self.log: list[str] = []

    def __enter__(self) -> "Server":
        self.process = subprocess.Popen(
            [self._binary, "serve"],
            env={"PATH": os.environ["PATH"]} | self._settings,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self._address()
        # Whoever writes to a pipe that nobody reads comes to a halt.
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr))
        self._reader.start()
        try:
            assert self.status("/api/health") == 200
        except BaseException:
            self.__exit__()
            raise
        return self

    def _address(self) -> str:
        for line in self.process.stderr:
            self.log.append(line)
            if said := re.search(r"listening on (http://[\d.:]+)", line):
                return said[1]
        self.process.wait(timeout=30)
        raise AssertionError(f"the server ended, {self.process.returncode}: {''.join(self.log)}")

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self._reader.join()

    def status(self, path: str) -> int:
        """The status that a GET is answered with."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    def post(self, path: str) -> dict:
        """Posts nothing there, and reads the answer; a refusal is an error with its reason."""
        request = urllib.request.Request(self.url + path, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise AssertionError(refused.read().decode()) from refused

    def metric_families(self) -> dict[str, str]:
        """The families on /metrics, each with its type."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as page:
            return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page.read().decode(), re.MULTILINE))
