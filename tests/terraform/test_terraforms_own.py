"""The configuration's own tests (terraform/tests/) are green, every run of them.

They take longest by far, so conftest.py starts them beside the other tests; the name of this file
puts it behind those.
"""

import re

import pytest

from workspace import OWN_TESTS, REPOSITORY

FOLDER = REPOSITORY / "terraform" / "tests"


@pytest.mark.parametrize("file", OWN_TESTS)
def test_its_own_tests_pass(own_tests, file):
    said = own_tests()
    assert f"tests/{file}... pass" in said, said


def test_every_run_of_its_own_tests_was_counted(own_tests):
    written = sum(len(re.findall(r"^run ", (FOLDER / name).read_text(), re.M)) for name in OWN_TESTS)
    counted = re.findall(r"(\d+) passed, (\d+) failed", own_tests())
    assert sum(int(passed) for passed, _ in counted) == written
    assert all(failed == "0" for _, failed in counted)
