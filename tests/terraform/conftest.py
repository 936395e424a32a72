"""Fixtures of the Terraform tests: the providers, and workspaces with an applied configuration.

The configuration's own tests (terraform/tests/) run with the real providers where a registry is
reached. Tests that apply need stub providers, which call no API, so that no Google account is
needed: from the folder in TERRAFORM_KIT, by default ../shared/terraform-kit beside the repository.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from workspace import REPOSITORY, Workspace, find_kit

from required import missing, missing_registry_stub


def pytest_collection_modifyitems(items):
    """Keep the tests of a file in one process, so that they share its fixtures. The configuration's own
    tests share nothing and take longest: they run in all processes, and first, so that none of them
    is the last to run while other processes are idle."""
    for item in items:
        if item.path.name != "test_terraforms_own.py":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.path.name != "test_terraforms_own.py")


@pytest.fixture(scope="session", autouse=True)
def terraform_is_there():
    if shutil.which("terraform") is None:
        missing("terraform is not installed")


@pytest.fixture(scope="session")
def kit() -> Path:
    """The CLI configuration file that selects the stub providers; they are set up on first use."""
    folder = find_kit()
    if folder is None:
        missing_registry_stub("there are no stub providers: TERRAFORM_KIT names no folder with them")
    home = Path(os.environ.get("TFSTUB_DIR") or REPOSITORY / "target" / "terraform-kit").resolve()
    home.mkdir(parents=True, exist_ok=True)
    made_of = "\n".join(f"{path.relative_to(folder)} {path.stat().st_mtime_ns}" for path in sorted(folder.rglob("*.*")))
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = home / "made-of"
        if not stamp.exists() or stamp.read_text() != made_of or not (home / "terraform.rc").exists():
            done = subprocess.run([folder / "setup.sh", home], capture_output=True, text=True)
            assert done.returncode == 0, f"setting up the stub providers failed:\n{done.stdout}{done.stderr}"
            stamp.write_text(made_of)
    return home / "terraform.rc"


@pytest.fixture(scope="session")
def configuration(tmp_path_factory, request) -> Workspace:
    """The configuration with the real providers, or with stubs where no registry is reached."""
    real = Workspace(tmp_path_factory.mktemp("real"), None)
    done = real.run("terraform", "init", "-input=false", "-backend=false")
    if done.returncode == 0:
        return real
    if find_kit() is None:
        missing("no provider registry is reached, and there are no stub providers:\n" + done.stdout)
    stub = Workspace(tmp_path_factory.mktemp("stub"), request.getfixturevalue("kit"))
    stub.terraform("init", "-input=false", "-backend=false")
    return stub


@pytest.fixture(scope="session")
def initialised(kit: Path, tmp_path_factory) -> Workspace:
    """An initialised workspace with stub providers. Copy it, do not change it."""
    workspace = Workspace(tmp_path_factory.mktemp("initialised"), kit)
    workspace.terraform("init", "-input=false")
    return workspace


@pytest.fixture(scope="session")
def new_workspace(initialised: Workspace, tmp_path_factory) -> Callable[[], Workspace]:
    """Return a function that makes workspaces with stub providers, each with its own state."""
    return lambda: initialised.copy(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def workspace(new_workspace) -> Workspace:
    return new_workspace()


@pytest.fixture(scope="session")
def applied_example(new_workspace) -> Workspace:
    """The example's three customers, planned and applied. Read it, do not change it."""
    workspace = new_workspace()
    workspace.example()
    workspace.first_plan = workspace.plan()
    workspace.terraform("apply", "-input=false", "test.tfplan")
    return workspace
