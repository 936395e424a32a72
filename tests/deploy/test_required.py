"""A test that cannot run is skipped with its reason, or fails: it never passes."""

import pytest

import required


def outcome(monkeypatch, absent, **settings: str) -> str:
    """Return whether a test with a missing tool is "skipped" or "failed" under these settings."""
    for name in ("CI", "REGISTRY_STUBS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as ended:
        absent("no such thing")
    assert "no such thing" in str(ended.value)
    return "failed" if ended.errisinstance(pytest.fail.Exception) else "skipped"


@pytest.mark.parametrize("absent", [required.missing, required.missing_registry_stub])
def test_missing_tool_skips_on_a_workstation_and_fails_in_ci(monkeypatch, absent):
    assert outcome(monkeypatch, absent) == "skipped"
    assert outcome(monkeypatch, absent, CI="true") == "failed"


def test_ci_may_skip_what_needs_registry_stubs_and_nothing_else(monkeypatch):
    assert outcome(monkeypatch, required.missing_registry_stub, CI="true", REGISTRY_STUBS="none") == "skipped"
    assert outcome(monkeypatch, required.missing, CI="true", REGISTRY_STUBS="none") == "failed"
