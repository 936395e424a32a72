"""What the tests of the command line's help share: the built binary, and the shells that are there."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = pathlib.Path(os.environ.get("GCS_UPLOADER_BIN", ROOT / "target" / "debug" / "gcs-uploader"))


def program(name: str) -> str:
    """Where a program is; without it the test is skipped, or fails where CI=true."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed; under CI=true it must be", pytrace=False)
    return found or pytest.skip(f"NOT CHECKED: {name} is not installed")


def shell(name: str) -> str:
    """Where a shell is. Bash is needed; of the others, those that are there are asked."""
    if name == "bash":
        return program(name)
    return shutil.which(name) or pytest.skip(f"NOT CHECKED: {name} is not installed")


def gcs_uploader(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    plain = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [BINARY, *arguments], env=plain | environment, capture_output=True, text=True, timeout=60
    )
