"""docs/configuration.md and `gcs-uploader serve --help` say the same of every setting."""

import re
import subprocess

import pytest
from pages import rows

PAGE = "docs/configuration.md"
# Where there is no default, or none that is a value, the page says so in words.
WORDS = re.compile(r"none|empty|required|gcloud's file|info$")


@pytest.fixture(scope="module")
def helped(binary):
    """Of each variable: its flag, its default, what its value is called."""
    text = subprocess.run(
        [binary, "serve", "--help"], env={}, capture_output=True, text=True, check=True
    ).stdout
    settings = {}
    for entry in re.split(r"\n\s*(?=--)", text):
        entry = " ".join(entry.split())
        variable = re.search(r"\[env: ([A-Z_]+)", entry)
        if variable:
            flag, value = re.match(r"(--[a-z-]+) <([A-Z:]+)>", entry).groups()
            default = re.search(r"\[default: ([^\]]*)\]", entry)
            settings[variable[1]] = (flag, default[1] if default else None, value)
    assert len(settings) > 15
    return settings


@pytest.fixture(scope="module")
def described():
    """The same of the page, with the text."""
    found = [row for row in rows(PAGE, 4) if row[0].startswith("`")]
    assert len({row[0] for row in found}) == len(found), "a setting is there twice"
    return {row[0].strip("`"): row[1:] for row in found}


def test_the_page_has_every_setting_and_no_other(helped, described):
    assert described.keys() == helped.keys()


def test_each_has_its_flag_and_its_default(helped, described):
    for variable, (flag, default, _) in helped.items():
        said_flag, said_default, _ = described[variable]
        assert said_flag == f"`{flag}`", variable
        if WORDS.match(said_default):
            assert default in (None, '""', "info for servers"), variable
        else:
            assert said_default == default, variable


def test_each_that_has_a_unit_says_which(helped, described):
    units = {row[0] for row in rows(PAGE, 2)}
    for variable, (_, _, value) in helped.items():
        if value in units:
            assert value in described[variable][2], variable
    assert {value for _, _, value in helped.values()} & units == {"SIZE", "DURATION", "ADDR:PORT"}
