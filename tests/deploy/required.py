"""A tool that is missing is said so loudly, and fails the run where CI=true: a check that silently did
not run proves nothing."""

import os

import pytest


def missing(what: str):
    """Skips with the reason, or fails with it where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; under CI=true nothing may be skipped", pytrace=False)
    pytest.skip(f"NOT CHECKED: {what}")


def no_stand_ins(what: str):
    """As `missing`, for what needs stand-ins for registries of images or providers. STAND_INS=none says
    that a machine has none, and that the real ones prove the same beside these tests."""
    if os.environ.get("STAND_INS") == "none":
        pytest.skip(f"NOT CHECKED: {what}")
    missing(what)
