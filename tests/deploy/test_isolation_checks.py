"""The checks of test_isolation.py see what they are there to see: each is shown failing."""

import copy

import pytest

import isolation
import network
from rendering import Overlay
from test_isolation import PORTS, server


@pytest.mark.parametrize(
    "taken",
    ["namespace", "bucket", "ingress host", "certificate host", "Google service account", "object",
     "service account", "secret", "instance"],
)  # fmt: skip
def test_a_thing_that_two_overlays_share_is_found(overlays: list[Overlay], taken: str):
    """Two overlays with the very same content share everything that such an overlay has."""
    one = next(o for o in overlays if any(what == taken for what, _ in isolation.belongings(o)))
    copied = Overlay("copy", one.text, copy.deepcopy(one.objects))
    assert taken in {what for what, _ in isolation.shared([one, copied])}


def test_a_strangers_name_is_found(overlays: list[Overlay]):
    one, other = overlays[:2]
    bucket = other.settings["GCS_BUCKET"]
    touched = Overlay(one.name, one.text.replace("LOG_FORMAT: json", f"X: {bucket}"), one.objects)
    assert isolation.strangers(touched, [touched, other]) == {bucket}


def test_a_forgotten_policy_is_noticed(overlays: list[Overlay]):
    """Without policies the same question has the other answer."""
    one, other = overlays[:2]
    assert network.allowed([], "Ingress", server(one), server(other), 4545, PORTS)
