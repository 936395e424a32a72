"""Adding, changing and removing a customer touches that customer and nobody else."""

import pytest

from workspace import changes, owner

THREE = {
    "alpha": {},
    "beta": {"identity": "key"},
    "gamma": {"impersonation": True, "object_prefix": "uploads/"},
}


@pytest.fixture(scope="module")
def applied(new_workspace):
    workspace = new_workspace()
    workspace.customers(THREE)
    workspace.apply()
    return workspace


@pytest.fixture
def three(applied, tmp_path):
    """The three customers as they were applied, each test with a copy of its own."""
    return applied.copy(tmp_path)


def test_a_fourth_customer_is_all_that_is_added(three):
    three.customers(THREE | {"delta": {"identity": "key"}})
    plan = changes(three.plan())
    assert {owner(address) for address in plan} == {"delta"}
    assert set(map(tuple, plan.values())) == {("create",)}


def test_a_removed_customer_is_all_that_is_destroyed(three):
    three.customers({name: entry for name, entry in THREE.items() if name != "beta"})
    plan = changes(three.plan())
    assert {owner(address) for address in plan} == {"beta"}
    assert set(map(tuple, plan.values())) == {("delete",)}
    gone = {address.rpartition("].")[2].split("[")[0] for address in plan}
    assert {"google_storage_bucket_iam_binding.uploader", "google_service_account.uploader", "google_service_account_key.uploader"} <= gone

    three.apply()
    assert not (three.overlays / "beta" / "kustomization.yaml").exists()
    assert not (three.root / "generated" / "beta" / "secret.yaml").exists()
    assert "No changes." in three.terraform("plan", "-input=false")


def test_a_changed_setting_is_changed_in_place(three):
    three.customers(THREE | {"alpha": {"expire_after_days": 30, "sizes": {"max_replicas": 3}}})
    plan = changes(three.plan())
    assert plan == {
        'module.customer["alpha"].google_storage_bucket.uploads': ["update"],
        'module.customer["alpha"].local_file.overlay': ["delete", "create"],
    }


def test_a_key_is_rotated_in_two_steps_and_never_missing(three):
    secret = three.root / "generated" / "beta" / "secret.yaml"
    first = secret.read_text()

    three.customers(THREE | {"beta": {"identity": "key", "key_versions": ["1", "2"]}})
    plan = changes(three.plan())
    assert plan.pop('module.customer["beta"].google_service_account_key.uploader["2"]') == ["create"]
    assert list(plan) == ['module.customer["beta"].local_sensitive_file.key_secret[0]']
    three.apply()
    second = secret.read_text()
    assert second != first

    three.customers(THREE | {"beta": {"identity": "key", "key_versions": ["2"]}})
    assert changes(three.plan()) == {'module.customer["beta"].google_service_account_key.uploader["1"]': ["delete"]}
    three.apply()
    assert secret.read_text() == second


def test_everything_can_be_destroyed_but_apis_stay(three):
    plan = three.plan("-destroy")
    services = [change for change in plan["resource_changes"] if change["type"] == "google_project_service"]
    assert services and all(change["change"]["before"]["disable_on_destroy"] is False for change in services)
    three.terraform("destroy", "-input=false", "-auto-approve")
    assert not list(three.overlays.glob("*/kustomization.yaml")) and not list(three.root.glob("generated/*/secret.yaml"))
