"""`make customers`: plan, a word of warning where something would be lost, apply, render."""

import os
import stat
import subprocess

import pytest
import yaml

TWO = {"alpha": {}, "beta": {"identity": "key"}}


@pytest.fixture(scope="module")
def applied(new_workspace):
    workspace = new_workspace()
    workspace.customers(TWO)
    done = workspace.run("bin/customers", APPROVE="yes")
    assert done.returncode == 0, done.stdout
    return workspace


@pytest.fixture
def two(applied, tmp_path):
    """The two customers as they were applied, each test with a copy of its own."""
    return applied.copy(tmp_path)


def test_it_applies_and_renders_every_customer(two):
    for name in TWO:
        manifests = two.root / "generated" / name / "manifests.yaml"
        kinds = {document["kind"] for document in yaml.safe_load_all(manifests.read_text())}
        assert {"Namespace", "Deployment", "ServiceAccount", "NetworkPolicy"} <= kinds
        assert stat.S_IMODE(manifests.stat().st_mode) == 0o600
    assert (two.root / "generated" / "beta" / "secret.yaml").exists()
    assert not list(two.root.glob("*.tfplan")), "the plan, which may hold a key, was left behind"


def test_it_applies_nothing_unasked(workspace):
    workspace.customers(TWO)
    done = workspace.run("bin/customers")
    assert done.returncode == 1
    assert "the plan needs approval: run it in a terminal, or with APPROVE=yes" in done.stdout
    assert not (workspace.root / "terraform.tfstate").exists() and not list(workspace.root.glob("*.tfplan"))


def test_a_removed_customer_is_named_and_the_refusal_foretold(two):
    two.customers({"alpha": {}})
    done = two.run("bin/customers", APPROVE="yes")
    assert done.returncode == 0, done.stdout
    said = " ".join(done.stdout.split())
    assert "Note: The bucket gs://gcs-uploader-beta-" in said
    assert "of beta will be deleted. Cloud Storage refuses this while the bucket holds objects; the identity is deleted in any case." in said
    assert not (two.overlays / "beta").exists() and not (two.root / "generated" / "beta").exists()
    assert (two.overlays / "alpha" / "kustomization.yaml").exists()


def test_a_bucket_that_goes_with_its_objects_is_shouted_about(workspace):
    workspace.customers({"alpha": {"force_destroy": True}})
    assert workspace.run("bin/customers", APPROVE="yes").returncode == 0
    workspace.customers({})
    done = workspace.run("bin/customers", APPROVE="yes")
    assert "of alpha will be deleted WITH EVERY OBJECT IN IT" in done.stdout


def test_a_bucket_that_would_be_replaced_is_named(two):
    two.customers({"alpha": {"location": "US"}, "beta": {"identity": "key"}})
    done = two.run("bin/customers")
    assert "of alpha will be replaced by another. Cloud Storage refuses this while the bucket holds objects" in done.stdout
    assert done.returncode == 1


def test_without_customers_it_says_what_to_copy(workspace):
    done = workspace.run("bin/customers", APPROVE="yes")
    assert done.returncode == 1
    assert "copy customers.auto.tfvars.example to customers.auto.tfvars" in done.stdout


def test_a_missing_terraform_is_said_in_words(workspace):
    done = workspace.run("bin/customers", TERRAFORM="terraform-of-another-day")
    assert done.returncode == 1
    assert "terraform-of-another-day is not installed" in done.stdout


def test_a_failing_plan_is_a_failing_command(workspace):
    workspace.customers({"Alpha": {}})
    done = workspace.run("bin/customers", APPROVE="yes")
    assert done.returncode == 1
    assert 'The customer name "Alpha" cannot be used' in done.stdout


def test_in_a_terminal_only_yes_applies(workspace):
    workspace.customers({"alpha": {}})
    lead, follow = os.openpty()
    process = subprocess.Popen(
        ["bin/customers"], cwd=workspace.root, env=workspace.environment, stdin=follow,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    os.write(lead, b"no\n")
    said, _ = process.communicate()
    os.close(lead), os.close(follow)
    assert process.returncode == 1 and "nothing was applied" in said
