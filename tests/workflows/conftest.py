"""What the tests of the workflows share: the repository, its workflow files, and the tools.

A tool that is missing is said so loudly, and fails the run where CI=true: a check that silently did
not run proves nothing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / ".github" / "scripts"


def missing(what: str):
    """Skips with the reason, or fails with it where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; under CI=true nothing may be skipped", pytrace=False)
    pytest.skip(f"NOT CHECKED: {what}")


def tool(name: str) -> str:
    """The program beside this Python, or on the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return found


def environment(**settings: str) -> dict[str, str]:
    """The environment without what GitHub, or whoever runs the tests, says of a release."""
    decided_elsewhere = ("GITHUB_", "IMAGE_", "MAKE", "MFLAGS")
    named = {"REF", "COMMIT", "PLATFORM", "TAG", "VERSION", "PUBLISHED", "TO", "TIP"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(decided_elsewhere) and name not in named}
    beside = Path(sys.executable).parent
    return kept | {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"} | settings


def run(*command: str | Path, cwd: Path = REPOSITORY, **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=cwd, env=environment(**settings), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )


def page(path: Path) -> dict:
    """A workflow or an action; YAML 1.1 reads the key `on` as true."""
    read = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in read.items()}


WORKFLOWS = {path.name: page(path) for path in sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))}
ACTIONS = {path.parent.name: page(path) for path in sorted((REPOSITORY / ".github" / "actions").glob("*/action.yml"))}
JOBS = [(workflow, name, job) for workflow, read in WORKFLOWS.items() for name, job in read["jobs"].items()]
STEPS = [(f"{workflow}:{name}", step) for workflow, name, job in JOBS for step in job.get("steps", [])] + [
    (name, step) for name, read in ACTIONS.items() for step in read["runs"]["steps"]
]
