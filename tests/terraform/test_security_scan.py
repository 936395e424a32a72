"""checkov finds nothing in the configuration but what is suppressed beside a reason, and it does
find what is broken."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import REPOSITORY

from required import missing

ROOT = REPOSITORY / "terraform"


def scan(folder: Path) -> dict:
    beside = Path(sys.executable).parent / "checkov"
    program = os.environ.get("CHECKOV") or (str(beside) if beside.exists() else shutil.which("checkov"))
    if program is None:
        missing("checkov is not installed")
    done = subprocess.run(
        [program, "--directory", str(folder), "--framework", "terraform", "--skip-download", "--output", "json", "--compact"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def report():
    return scan(ROOT)


def test_nothing_is_found(report):
    found = [f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in report["results"]["failed_checks"]]
    assert found == [] and report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] > 10


def test_every_suppression_says_why():
    for file in ROOT.rglob("*.tf"):
        for line in file.read_text().splitlines():
            if "checkov:skip" in line:
                assert re.search(r"#checkov:skip=CKV2?_\w+_\d+:.{30,}", line), f"{file.name}: {line.strip()}"


def test_every_suppression_is_still_needed(report):
    """A suppression that suppresses nothing hides what comes later."""
    written = {id for file in ROOT.rglob("*.tf") for id in re.findall(r"checkov:skip=(\w+):", file.read_text())}
    used = {one["check_id"] for one in report["results"]["skipped_checks"]}
    assert written == used


def test_a_public_bucket_would_be_found(tmp_path):
    folder = shutil.copytree(ROOT, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*"))
    main = folder / "modules" / "customer" / "main.tf"
    main.write_text(main.read_text().replace('public_access_prevention    = "enforced"', 'public_access_prevention    = "inherited"'))
    assert "CKV_GCP_114" in {one["check_id"] for one in scan(folder)["results"]["failed_checks"]}
