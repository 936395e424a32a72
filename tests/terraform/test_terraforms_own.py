"""The configuration's own tests (terraform/tests/) pass, and each of their runs was executed."""

import re

import pytest

from workspace import OWN_TESTS, REPOSITORY

FOLDER = REPOSITORY / "terraform" / "tests"


def test_configuration_has_own_tests():
    assert OWN_TESTS


@pytest.mark.parametrize("file", OWN_TESTS)
def test_every_run_of_an_own_test_file_passes(configuration, file):
    output = configuration.run("terraform", "test", f"-filter=tests/{file}").stdout
    assert f"tests/{file}... pass" in output, output
    written = len(re.findall(r"^run ", (FOLDER / file).read_text(), re.M))
    assert re.findall(r"(\d+) passed, (\d+) failed", output) == [(str(written), "0")], output
