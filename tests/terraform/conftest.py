"""What the Terraform tests share: where the providers come from.

The configuration's own tests (terraform/tests/) run with the real providers where a registry is
reached. What applies needs stand-in providers that touch nothing, so that no Google account is
needed: a folder named by TERRAFORM_KIT, or beside the repository at ../shared/terraform-kit.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from workspace import REPOSITORY, Workspace, find_kit

from required import missing, no_stand_ins


def pytest_collection_modifyitems(items):
    """Keeps the tests of a file in one process, so that they share what they applied. The
    configuration's own tests, which take longest and share nothing, are spread over all and come
    first, so that no process waits for them in the end."""
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
    """The CLI configuration that gives the stand-in providers; set up on first use."""
    folder = find_kit()
    if folder is None:
        no_stand_ins("there are no stand-in providers: TERRAFORM_KIT names no folder with them")
    home = Path(os.environ.get("TFSTUB_DIR") or REPOSITORY / "target" / "terraform-kit").resolve()
    home.mkdir(parents=True, exist_ok=True)
    made_of = "\n".join(f"{path.relative_to(folder)} {path.stat().st_mtime_ns}" for path in sorted(folder.rglob("*.*")))
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = home / "made-of"
        if not stamp.exists() or stamp.read_text() != made_of or not (home / "terraform.rc").exists():
            done = subprocess.run([folder / "setup.sh", home], capture_output=True, text=True)
            assert done.returncode == 0, f"the stand-in providers cannot be set up:\n{done.stdout}{done.stderr}"
            stamp.write_text(made_of)
    return home / "terraform.rc"


@pytest.fixture(scope="session")
def configuration(tmp_path_factory, request) -> Workspace:
    """The configuration with the real providers, or, where no registry is reached, with stand-ins."""
    real = Workspace(tmp_path_factory.mktemp("real"), None)
    done = real.run("terraform", "init", "-input=false", "-backend=false")
    if done.returncode == 0:
        return real
    if find_kit() is None:
        missing("no provider registry is reached, and there are no stand-in providers:\n" + done.stdout)
    stand_in = Workspace(tmp_path_factory.mktemp("stand-in"), request.getfixturevalue("kit"))
    stand_in.terraform("init", "-input=false", "-backend=false")
    return stand_in


@pytest.fixture(scope="session")
def initialised(kit: Path, tmp_path_factory) -> Workspace:
    """An initialised workspace with stub providers. Copy it, don't change it."""
    workspace = Workspace(tmp_path_factory.mktemp("initialised"), kit)
    workspace.terraform("init", "-input=false")
    return workspace


@pytest.fixture(scope="session")
def new_workspace(initialised: Workspace, tmp_path_factory) -> Callable[[], Workspace]:
    """Returns a function that makes workspaces with stub providers, each with its own state."""
    return lambda: initialised.copy(tmp_path_factory.mktemp("workspace"))


@pytest.fixture
def workspace(new_workspace) -> Workspace:
    return new_workspace()


@pytest.fixture(scope="session")
def applied_example(new_workspace) -> Workspace:
    """The example's three customers, planned and applied. Read it, don't change it."""
    workspace = new_workspace()
    workspace.example()
    workspace.first_plan = workspace.plan()
    workspace.terraform("apply", "-input=false", "test.tfplan")
    return workspace
