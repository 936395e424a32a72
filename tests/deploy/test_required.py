"""A check that did not run is never taken for one that passed."""

import pytest

import required


def outcome(monkeypatch, absent, **settings: str) -> str:
    """What becomes of a test that lacks something, under these settings."""
    for name in ("CI", "STAND_INS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception)) as ended:
        absent("no such thing")
    assert "no such thing" in str(ended.value)
    return "failed" if ended.errisinstance(pytest.fail.Exception) else "skipped"


@pytest.mark.parametrize("absent", [required.missing, required.no_stand_ins])
def test_what_is_missing_skips_at_a_desk_and_fails_in_ci(monkeypatch, absent):
    assert outcome(monkeypatch, absent) == "skipped"
    assert outcome(monkeypatch, absent, CI="true") == "failed"


def test_in_ci_stand_ins_alone_may_be_left_to_the_real_things(monkeypatch):
    assert outcome(monkeypatch, required.no_stand_ins, CI="true", STAND_INS="none") == "skipped"
    assert outcome(monkeypatch, required.missing, CI="true", STAND_INS="none") == "failed"
