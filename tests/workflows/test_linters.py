"""What linters that others keep say: nothing, but for what is suppressed with a reason. And each of
them does find what is broken, so that none is silent for not running."""

import re
import shutil

import pytest

from conftest import REPOSITORY, SCRIPTS, run, tool

GITHUB = REPOSITORY / ".github"
SHELL_SCRIPTS = sorted(
    path for path in SCRIPTS.rglob("*") if path.is_file() and re.match(r"#(!.*\bbash\b|.*shellcheck shell=bash)", path.read_text())
)

# All that are the repository's, wherever they lie.
EVERY_SHELL_SCRIPT = [
    REPOSITORY / name
    for name in run("git", "ls-files", "-z").stdout.split("\0")
    if name and (REPOSITORY / name).is_file() and re.match(rb"#(!.*\b(ba)?sh\b|.*shellcheck shell=)", (REPOSITORY / name).read_bytes()[:200])
]


@pytest.fixture
def copy(tmp_path):
    """A repository with a copy of what GitHub reads, to break."""
    shutil.copytree(GITHUB, tmp_path / ".github")
    run("git", "init", "--quiet", cwd=tmp_path)
    return tmp_path


def actionlint(folder):
    # It finds shellcheck on the PATH, and gives it every `run:`.
    assert tool("shellcheck")
    return run(tool("actionlint"), "-no-color", cwd=folder)


def zizmor(folder):
    # The strictest persona, and no question to GitHub.
    return run(tool("zizmor"), "--offline", "--strict-collection", "--persona", "auditor", "--no-progress", "--color", "never", ".", cwd=folder)


def shellcheck(*paths):
    return run(tool("shellcheck"), "--external-sources", *paths)


def test_actionlint_finds_nothing():
    done = actionlint(REPOSITORY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_actionlint_finds_a_step_that_asks_for_what_is_not_there(copy):
    broken = copy / ".github" / "workflows" / "ci.yml"
    broken.write_text(broken.read_text().replace("steps.list.outputs", "steps.lists.outputs"))
    done = actionlint(copy)
    assert done.returncode == 1
    assert '"lists" is not defined' in done.stdout


def test_actionlint_hands_every_run_to_shellcheck(copy):
    broken = copy / ".github" / "workflows" / "ci.yml"
    broken.write_text(broken.read_text().replace('in-summary make "$PART"', "in-summary make $PART"))
    done = actionlint(copy)
    assert done.returncode == 1
    assert "SC2086" in done.stdout


def test_zizmor_finds_nothing():
    done = zizmor(REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("whole", "broken", "finding"),
    [
        ('make "$PART"', "make ${{ github.head_ref }}", "template-injection"),
        (" # v7.0.1", "", "unpinned-uses"),
        ("permissions: {}\n\nconcurrency", "permissions: write-all\n\nconcurrency", "excessive-permissions"),
        ("persist-credentials: false", "persist-credentials: true", "artipacked"),
        ("  pull_request:", "  pull_request_target:", "dangerous-triggers"),
    ],
)
def test_zizmor_finds_what_would_be_dangerous(copy, whole, broken, finding):
    page = copy / ".github" / "workflows" / "ci.yml"
    text = page.read_text()
    assert whole in text
    if finding == "unpinned-uses":
        text = re.sub(r"actions/checkout@[0-9a-f]{40}", "actions/checkout@v7", text)
    page.write_text(text.replace(whole, broken))
    done = zizmor(copy)
    assert done.returncode != 0
    assert f"[{finding}]" in done.stdout


def test_shellcheck_finds_nothing_in_the_scripts():
    assert len(SHELL_SCRIPTS) >= 15
    assert {*SHELL_SCRIPTS, REPOSITORY / ".ci" / "run", REPOSITORY / "kustomize" / "deploy"} <= set(EVERY_SHELL_SCRIPT)
    done = shellcheck(*EVERY_SHELL_SCRIPT)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_an_unquoted_name(tmp_path):
    script = tmp_path / "broken"
    script.write_text("#!/usr/bin/env bash\nrm -r $1\n")
    assert "SC2086" in shellcheck(script).stdout


def test_every_script_stops_at_its_first_error():
    # in-summary and report go on: the one hands an exit status through, the other reports what broke.
    going_on = {"in-summary", "report", "common"}
    for script in SHELL_SCRIPTS:
        if script.name not in going_on:
            assert "\nset -euo pipefail\n" in script.read_text(), script


def test_every_suppression_has_its_reason():
    for script in SHELL_SCRIPTS:
        for line in script.read_text().splitlines():
            if "shellcheck disable=" in line or "shellcheck shell=bash disable=" in line:
                assert re.search(r"disable=SC\d{4} # \w", line), f"{script.name}: {line.strip()}"
    settings = (GITHUB / "zizmor.yml").read_text()
    rules = re.findall(r"^  [a-z-]+:\n(.*\n)", settings, re.MULTILINE)
    assert rules
    assert all(line.strip().startswith("# ") for line in rules)
    for page in GITHUB.rglob("*.yml"):
        for line in page.read_text().splitlines():
            assert not re.search(r"(zizmor: ignore|actionlint-ignore)\S*\s*$", line), f"{page.name}: {line.strip()}"
