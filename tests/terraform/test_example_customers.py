"""The example's three customers: what the plan makes, and that each can touch only what is theirs."""

import json
import os
import stat
import subprocess
import sys

import pytest
import yaml

from workspace import REPOSITORY, changes, owner

from rendering import Kustomize, Tool

CUSTOMERS = ("customer-a", "customer-b", "customer-c")

# What one customer may consist of. A resource of another kind in the plan has to be argued for here.
OF_A_CUSTOMER = {
    "google_storage_bucket",
    "google_storage_bucket_iam_binding",
    "google_service_account",
    "google_service_account_iam_binding",
    "google_service_account_key",
    "google_monitoring_alert_policy",
    "local_file",
    "local_sensitive_file",
}


def planned(workspace, kind: str) -> list[dict]:
    return [
        change for change in workspace.first_plan["resource_changes"] if change["type"] == kind and change["mode"] == "managed"
    ]


def test_the_plan_only_creates(applied_example):
    assert set(map(tuple, changes(applied_example.first_plan).values())) == {("create",)}


def test_each_customer_has_one_bucket_and_one_binding_on_it(applied_example):
    for customer in CUSTOMERS:
        for kind in ("google_storage_bucket", "google_storage_bucket_iam_binding"):
            own = [change for change in planned(applied_example, kind) if owner(change["address"]) == customer]
            assert len(own) == 1
        assert own[0]["change"]["after"]["bucket"] == f"example-{customer}-uploads"


def test_no_customer_has_anything_else(applied_example):
    for change in applied_example.first_plan["resource_changes"]:
        if owner(change["address"]):
            assert change["type"] in OF_A_CUSTOMER, change["address"]


def test_nothing_is_granted_on_a_project(applied_example):
    """An identity that has a role on the project has it on every bucket of it."""
    kinds = {change["type"] for change in applied_example.first_plan["resource_changes"]}
    assert {kind for kind in kinds if kind.startswith("google_project_iam")} == {"google_project_iam_custom_role"}
    assert not {kind for kind in kinds if kind.startswith(("google_folder", "google_organization"))}


def test_no_two_bindings_have_a_member_in_common(applied_example):
    state = json.loads(applied_example.terraform("show", "-json"))
    bindings = [
        resource["values"]
        for module in state["values"]["root_module"]["child_modules"]
        for resource in module["resources"]
        if resource["type"] == "google_storage_bucket_iam_binding"
    ]
    members = [member for binding in bindings for member in binding["members"]]
    assert len(members) == len(set(members)) == 3
    assert {binding["role"] for binding in bindings} == {"projects/example-project/roles/gcsUploader"}


def test_a_second_plan_has_nothing_to_do(applied_example):
    assert "No changes." in applied_example.terraform("plan", "-input=false")


def test_the_key_is_in_one_file_that_only_its_owner_reads(applied_example):
    secret = applied_example.root / "generated" / "customer-b" / "secret.yaml"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    manifest = yaml.safe_load(secret.read_text())
    assert manifest["metadata"] | {"labels": None} == {"name": "gcs-uploader-key", "namespace": "gcs-uploader-customer-b", "labels": None}
    assert list(manifest["data"]) == ["key.json"]
    assert [path.name for path in (applied_example.root / "generated").iterdir()] == ["customer-b"]


def test_the_key_is_printed_by_no_command(applied_example):
    secret = yaml.safe_load((applied_example.root / "generated" / "customer-b" / "secret.yaml").read_text())
    key = secret["data"]["key.json"]
    assert len(key) > 100
    for command in (["output"], ["output", "-json"], ["show"], ["plan", "-input=false"], ["plan", "-input=false", "-destroy"]):
        assert key not in applied_example.terraform(*command), command


def test_git_ignores_keys_state_and_plans():
    for name in ("generated/customer-b/secret.yaml", "terraform.tfstate", "terraform.tfstate.backup", "customers.tfplan", ".terraform/x"):
        done = subprocess.run(["git", "check-ignore", "-q", f"terraform/{name}"], cwd=REPOSITORY)
        assert done.returncode == 0, f"{name} would be committed"


@pytest.mark.parametrize("customer", CUSTOMERS)
def test_the_overlay_is_the_committed_one_byte_for_byte(applied_example, customer):
    page = f"{customer}/kustomization.yaml"
    generated = (applied_example.overlays / page).read_bytes()
    assert generated == (REPOSITORY / "kustomize" / "overlays" / page).read_bytes()


def test_the_manifests_of_the_generated_overlays_are_isolated_and_restricted(applied_example):
    """The deployment's own checks, pointed at what Terraform generated."""
    checks = [str(REPOSITORY / "tests" / "deploy" / name) for name in ("test_isolation.py", "test_pod_security.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *checks],
        cwd=REPOSITORY, env=os.environ | {"OVERLAYS_DIR": str(applied_example.overlays)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_the_overlay_points_where_the_binding_does(applied_example):
    """Terraform and kustomize agree on bucket, prefix, namespace and identity."""
    tool = Tool.find()
    assert tool, "neither kustomize nor kubectl is installed"
    outputs = json.loads(applied_example.terraform("output", "-json", "customers"))
    for customer in CUSTOMERS:
        overlay, output = Kustomize(tool).overlay(applied_example.overlays / customer), outputs[customer]
        assert overlay.settings["GCS_BUCKET"] == output["bucket"] == output["grant"]["bucket"]
        assert overlay.namespace == output["namespace"]
        assert overlay.ingress_hosts == [output["host"]]
        prefix = overlay.settings.get("OBJECT_PREFIX", "")
        assert (output["grant"]["condition"] or "").endswith(f'/objects/{prefix}")' if prefix else "")
        annotations = overlay.the("ServiceAccount")["metadata"].get("annotations") or {}
        google = annotations.get("iam.gke.io/gcp-service-account")
        (member,) = output["grant"]["members"]
        if google:
            assert member == f"serviceAccount:{google}"
        elif output["secret_file"]:
            assert member == f"serviceAccount:{output['service_account_email']}"
        else:
            account = overlay.the("ServiceAccount")["metadata"]["name"]
            assert member.endswith(f"/subject/ns/{overlay.namespace}/sa/{account}")
