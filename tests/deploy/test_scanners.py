"""Scanners that others keep find nothing in the manifests and the Containerfile but what is
suppressed with a reason, and they do find what is broken."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rendering import Overlay
from required import missing


def scanner(name: str) -> str:
    """The program beside this Python, on the PATH, or where a variable of its name says."""
    beside = Path(sys.executable).parent / name
    found = os.environ.get(name.upper()) or (str(beside) if beside.exists() else shutil.which(name))
    if found is None:
        missing(f"{name} is not installed")
    return found


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def checkov(repository: Path, folder: Path) -> subprocess.CompletedProcess:
    settings = repository / "tests" / "deploy" / "checkov.yaml"
    return run(scanner("checkov"), "--config-file", str(settings), "--directory", str(folder))


def test_checkov_finds_nothing_in_any_overlay(
    repository: Path, tmp_path: Path, overlays: list[Overlay]
):
    for overlay in overlays:
        (tmp_path / f"{overlay.name}.yaml").write_text(overlay.text)
    done = checkov(repository, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_checkov_finds_a_privileged_container(
    repository: Path, tmp_path: Path, overlays: list[Overlay]
):
    text = overlays[0].text.replace("readOnlyRootFilesystem: true", "privileged: true")
    (tmp_path / "broken.yaml").write_text(text)
    done = checkov(repository, tmp_path)
    assert done.returncode == 1
    assert "Container should not be privileged" in done.stdout


def test_every_suppression_is_explained(repository: Path):
    page = (repository / "tests" / "deploy" / "checkov.yaml").read_text()
    suppressed = yaml.safe_load(page)["skip-check"]
    assert suppressed
    for check in suppressed:
        assert re.search(rf"(  # .+\n)+  - {check}\n", page), f"{check} has no reason beside it"


def test_hadolint_finds_nothing_in_the_containerfile(repository: Path):
    done = run(scanner("hadolint"), str(repository / "Containerfile"))
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_finds_a_moving_tag(tmp_path: Path):
    (tmp_path / "Containerfile").write_text("FROM debian:latest\nRUN apt-get install -y curl\n")
    done = run(scanner("hadolint"), str(tmp_path / "Containerfile"))
    assert done.returncode != 0
    assert "DL3007" in done.stdout


@pytest.mark.parametrize("script", ["template/new-customer", "deploy", "with-port-forward"])
def test_shellcheck_finds_nothing_in_the_scripts(repository: Path, script: str):
    done = run(scanner("shellcheck"), str(repository / "kustomize" / script))
    assert (done.returncode, done.stdout) == (0, "")
