"""What Renovate is told: every kind of file that names a version of somebody else's has a manager that
is allowed to look at it, and the expressions of our own still find what they are for."""

import json
import re

import pytest

from conftest import REPOSITORY, run

RENOVATE = json.loads((REPOSITORY / "renovate.json").read_text())
TRACKED = [name for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0") if name]
# By which of its managers Renovate reads a file; the patterns are those that it has of its own, and
# for Kubernetes' manifests those of renovate.json.
READ_BY = {
    r"(.*/)?Cargo\.toml": "cargo",
    r"(.*/)?(Docker|Container)file": "dockerfile",
    r"\.github/(workflows|actions)/.*\.yml": "github-actions",
    r"(k8s|kustomize)/.*deployment\.yaml": "kubernetes",
    r"(.*/)?kustomization\.yaml": "kustomize",
    r"(.*/)?package\.json": "npm",
    r"(.*/)?[\w-]*requirements([-.]\w+)?\.txt": "pip_requirements",
    r".*\.tf": "terraform",
}


@pytest.mark.parametrize("pattern", READ_BY)
def test_every_file_that_names_versions_is_read(pattern):
    if any(re.fullmatch(pattern, name) for name in TRACKED):
        assert READ_BY[pattern] in RENOVATE["enabledManagers"]


def test_no_manager_is_allowed_that_this_test_does_not_know():
    assert set(RENOVATE["enabledManagers"]) == {*READ_BY.values(), "custom.regex"}


def test_nothing_that_names_versions_is_left_out():
    # The recommended settings leave out whatever lies below tests/, where most of ours is.
    assert RENOVATE["ignorePaths"] == []


def test_every_python_package_is_pinned_so_that_an_update_is_a_pull_request():
    pages = [name for name in TRACKED if re.fullmatch(r"(.*/)?[\w-]*requirements([-.]\w+)?\.txt", name)]
    assert "tests/requirements.txt" in pages
    for name in pages:
        for line in (REPOSITORY / name).read_text().splitlines():
            assert re.match(r"(#|$|[\w.-]+(\[[\w,-]+\])?==\d)", line), f"{name}: {line}"


@pytest.mark.parametrize("manager", RENOVATE["customManagers"], ids=lambda manager: manager["description"])
def test_an_expression_of_ours_finds_one_version_where_it_looks(manager):
    found = [
        match["currentValue"]
        for pattern in manager["managerFilePatterns"]
        for name in TRACKED
        if re.search(pattern.strip("/"), name)
        for expression in manager["matchStrings"]
        for match in re.finditer(expression.replace("(?<", "(?P<"), (REPOSITORY / name).read_text())
    ]
    assert len(found) == 1 and re.fullmatch(r"\d+(\.\d+)+", found[0]), found


def test_base_images_are_pinned_by_digest():
    assert "docker:pinDigests" in RENOVATE["extends"]
