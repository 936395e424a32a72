"""Reports missing tools. A test that needs one is skipped with the reason, and fails where CI=true: a
test that was skipped without notice would verify nothing."""

import os

import pytest


def missing(what: str):
    """Skip the test with the reason, or fail it where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; under CI=true nothing may be skipped", pytrace=False)
    pytest.skip(f"NOT CHECKED: {what}")


def missing_registry_stub(what: str):
    """Like `missing`, for tests that need a local stub of an image or provider registry. With
    REGISTRY_STUBS=none they are skipped also where CI=true: other jobs test the same with the real
    registries."""
    if os.environ.get("REGISTRY_STUBS") == "none":
        pytest.skip(f"NOT CHECKED: {what}")
    missing(what)
