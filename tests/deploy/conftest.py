"""What the deployment tests share: the repository's places, and the tools that they need."""

import os
from pathlib import Path

import pytest

from rendering import Kustomize, Overlay, Tool
from required import missing

REPOSITORY = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items):
    """Begins with the image, which takes longest to build, so that the other tests run beside it."""
    items.sort(key=lambda item: not any(mark.args == ("image",) for mark in item.iter_markers("xdist_group")))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def kustomize() -> Kustomize:
    tool = Tool.find()
    if tool is None:
        missing("neither kustomize nor kubectl is installed, so no manifest can be rendered")
    return Kustomize(tool)


def overlay_folders() -> list[Path]:
    """The overlays of the repository, or those in OVERLAYS_DIR (Terraform's generated ones)."""
    folder = Path(os.environ.get("OVERLAYS_DIR", REPOSITORY / "kustomize" / "overlays"))
    return sorted(page.parent for page in folder.glob("*/kustomization.yaml"))


@pytest.fixture(scope="session")
def overlays(kustomize: Kustomize) -> list[Overlay]:
    found = [kustomize.overlay(folder) for folder in overlay_folders()]
    assert len(found) >= 2, "there is nothing to compare"
    return found


@pytest.fixture(params=overlay_folders(), ids=lambda folder: folder.name)
def overlay(request, kustomize: Kustomize) -> Overlay:
    return kustomize.overlay(request.param)


@pytest.fixture(scope="session")
def binary() -> Path:
    """The server's binary, as GCS_UPLOADER_BIN names it."""
    path = os.environ.get("GCS_UPLOADER_BIN")
    if path is None:
        candidates = [
            REPOSITORY / "target" / profile / "gcs-uploader" for profile in ("release", "debug")
        ]
        path = next((candidate for candidate in candidates if candidate.exists()), None)
    if path is None or not Path(path).is_file():
        missing("no gcs-uploader binary: build it, or name it in GCS_UPLOADER_BIN")
    return Path(path).resolve()
