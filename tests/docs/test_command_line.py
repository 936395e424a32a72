"""docs/command-line.md and `gcs-uploader --help` say the same."""

import re
import subprocess

import pytest
from pages import rows

PAGE = "docs/command-line.md"


@pytest.fixture(scope="module")
def help_text(binary):
    return subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout


def test_the_page_has_every_command_and_no_other(help_text):
    known = set(re.findall(r"^  ([a-z]+) ", help_text.split("Options:")[0], re.MULTILINE)) - {"help"}
    described = {row[0].strip("`").split()[0] for row in rows(PAGE, 2) if row[0].startswith("`")}
    assert described == known


def test_the_exit_statuses_are_those_of_the_help(help_text):
    known = dict(re.findall(r"^  (\d+) +(.+)$", help_text.split("Exit status:")[1], re.MULTILINE))
    described = {row[0]: row[1] for row in rows(PAGE, 2) if row[0].isdigit()}
    assert described == known
