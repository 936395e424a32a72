"""Builds the image with the container kit, and runs it with the restrictions of a strict cluster.

The kit builds local substitutes for the base images where no registry can be reached. Its folder is
in CONTAINER_KIT, by default ../shared/container-kit beside the repository.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

IMAGE = "localhost/gcs-uploader-under-test"


class Kit:
    """The container kit and its commands."""

    def __init__(self, folder: Path):
        self.folder = folder

    @staticmethod
    def what_is_missing(repository: Path) -> "tuple[Kit | None, str]":
        """Return the kit, or the reason why the image cannot be built here."""
        folder = Path(
            os.environ.get("CONTAINER_KIT", repository.parent / "shared" / "container-kit")
        )
        if not (folder / "build-image").is_file():
            return None, f"no container kit at {folder}: name it in CONTAINER_KIT"
        if os.geteuid() != 0:
            return None, "the container kit needs root"
        for program in ("buildah", "podman", "runc", "debootstrap", "nsenter", "curl"):
            if shutil.which(program) is None:
                return None, f"{program} is not installed, and the container kit needs it"
        return Kit(folder), ""

    def build(self, repository: Path, *arguments: str) -> None:
        done = subprocess.run(
            [self.folder / "build-image", "-t", IMAGE, *arguments, repository],
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = ["bash", "-c", f'. "{self.folder}/kit-env" && exec podman "$@"', "podman"]
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=120
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def inspect(self) -> dict:
        (image,) = json.loads(self.podman("image", "inspect", IMAGE).stdout)
        return image


class Container:
    """A running container of the image: no capability, no writable folder, no network but loopback."""

    RESTRICTIONS = (
        "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
        "--security-opt", "no-new-privileges", "--user", "65532:65532", "--network", "none",
    )  # fmt: skip

    def __init__(self, kit: Kit, settings: dict[str, str], *options: str):
        self._kit = kit
        environment = [f"--env={name}={value}" for name, value in settings.items()]
        self._run = ("run", "--detach", *self.RESTRICTIONS, *environment, *options, IMAGE)

    def __enter__(self) -> "Container":
        self.id = self._kit.podman(*self._run).stdout.strip()
        self.pid = int(self._inspect("{{.State.Pid}}"))
        return self

    def __exit__(self, *_) -> None:
        self._kit.podman("rm", "--force", "--time", "0", self.id)

    def _inspect(self, form: str) -> str:
        return self._kit.podman("inspect", "--format", form, self.id).stdout.strip()

    @property
    def inside(self) -> tuple[str, ...]:
        """The prefix of a command that makes it run in the container's network."""
        return ("nsenter", "--target", str(self.pid), "--net")

    def curl(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self.inside, "curl", "--silent", "--show-error", "--max-time", "60", *arguments],
            capture_output=True,
            text=True,
        )

    def wait_for_response(self, url: str, *arguments: str, timeout: float = 10) -> None:
        deadline = time.monotonic() + timeout
        while (done := self.curl("--fail", *arguments, url)).returncode != 0:
            assert time.monotonic() < deadline, f"{url}: {done.stderr}\n{self.logs()}"
            time.sleep(0.05)

    def logs(self) -> str:
        done = self._kit.podman("logs", self.id)
        return done.stdout + done.stderr

    def status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    def mounts(self) -> dict[str, set[str]]:
        """The options of each mount, by mount point."""
        lines = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        return {fields[4]: set(fields[5].split(",")) for fields in map(str.split, lines)}

    def stop(self, seconds: int) -> int:
        """Send the image's stop signal, and return the exit status of the process."""
        self._kit.podman("stop", "--time", str(seconds), self.id)
        return int(self._inspect("{{.State.ExitCode}}"))
