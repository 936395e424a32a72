"""The configuration as anybody checks it: formatted, valid, and with a test for what it refuses."""

import json
import lzma
import os
import re
import shutil
import subprocess

import pytest

from workspace import OWN_TESTS, REPOSITORY, Workspace, changes, find_kit

ROOT = REPOSITORY / "terraform"


def test_everything_is_formatted(configuration):
    configuration.terraform("fmt", "-check", "-recursive", str(ROOT))


def test_the_example_of_customers_is_formatted(configuration, tmp_path):
    copy = tmp_path / "example.tfvars"
    copy.write_text((ROOT / "customers.auto.tfvars.example").read_text())
    configuration.terraform("fmt", "-check", str(copy))


def test_the_root_is_valid(configuration):
    assert "Success! The configuration is valid." in configuration.terraform("validate")


@pytest.mark.parametrize("example", ["minikube-keys", "gke-workload-identity"])
def test_the_examples_are_valid(configuration, example):
    folder = configuration.root / "examples" / example
    assert "successfully initialized" in configuration.terraform(f"-chdir={folder}", "init", "-backend=false")
    assert "Success! The configuration is valid." in configuration.terraform(f"-chdir={folder}", "validate")


def test_its_own_tests_ask_no_provider(configuration):
    """Users run these tests: they must need neither an account nor stub providers."""
    for name in OWN_TESTS:
        text = (ROOT / "tests" / name).read_text()
        for provider in ("google", "local", "random"):
            assert f'mock_provider "{provider}"' in text, f"{name} would ask {provider}"


def test_every_validation_has_a_test():
    """Each variable that refuses something is expected to by at least one run."""
    for variables, tests in ((ROOT / "variables.tf", "refused_root"), (ROOT / "modules" / "customer" / "variables.tf", "refused_customer")):
        blocks = re.findall(r'^variable "(\w+)" {\n(.*?)^}', variables.read_text(), re.M | re.S)
        refusing = {name for name, body in blocks if "validation {" in body}
        tested = set(re.findall(r"expect_failures = \[var\.(\w+)\]", (ROOT / "tests" / f"{tests}.tftest.hcl").read_text()))
        assert refusing == tested


# The Google provider's two majors. What of their differences concerns this configuration, after the
# provider's own upgrade guide, is the type of retention_period and a default that is set explicitly.


@pytest.fixture(scope="module")
def provider_7(kit, tmp_path_factory):
    """Stub providers whose google provider is a 7.0.0, with retention_period as a string."""
    folder = shutil.copytree(find_kit(), tmp_path_factory.mktemp("provider-7") / "kit", ignore=shutil.ignore_patterns(".stub"))
    packed = folder / "schema" / "google.json.xz"
    schema = json.loads(lzma.decompress(packed.read_bytes()))
    (provider,) = schema["provider_schemas"].values()
    bucket = provider["resource_schemas"]["google_storage_bucket"]["block"]["block_types"]
    retention = bucket["retention_policy"]["block"]["attributes"]["retention_period"]
    assert retention["type"] == "number"
    retention["type"] = "string"
    schema["provider_version"] = "7.0.0"
    packed.unlink()
    (folder / "schema" / "google.json").write_text(json.dumps(schema))

    home = folder.parent / "home"
    home.mkdir()
    (home / "venv").symlink_to(kit.parent / "venv")
    done = subprocess.run([folder / "setup.sh", home], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "terraform.rc"


def test_validating_can_be_held_to_a_major(kit):
    """The stubs have major version 6: limited to 7, Terraform finds none, and the work tree is unchanged."""
    environment = os.environ | {"TF_CLI_CONFIG_FILE": str(kit), "CHECKPOINT_DISABLE": "1", "TF_CLI_ARGS": "-no-color", "GOOGLE": "~> 7.0"}
    done = subprocess.run(["bin/validate"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "hashicorp/google" in done.stderr and "~> 7.0" in done.stderr
    assert not (ROOT / ".terraform").exists() and not (ROOT / "google_override.tf").exists()


def test_provider_6_is_accepted(workspace):
    assert "hashicorp/google v6.50.0" in workspace.terraform("version")


def test_provider_7_plans_the_same(provider_7, applied_example, tmp_path):
    workspace = Workspace(tmp_path, provider_7)
    workspace.terraform("init", "-input=false")
    assert "hashicorp/google v7.0.0" in workspace.terraform("version")
    assert "Success!" in workspace.terraform("validate")
    workspace.example()
    plan = workspace.plan()
    assert changes(plan) == changes(applied_example.first_plan)
    (period,) = [
        policy["retention_period"]
        for change in plan["resource_changes"]
        if change["type"] == "google_storage_bucket"
        for policy in change["change"]["after"]["retention_policy"]
    ]
    assert period == "2592000"


def test_provider_7_passes_the_buckets_own_tests(provider_7, tmp_path):
    workspace = Workspace(tmp_path, provider_7)
    workspace.terraform("init", "-input=false")
    assert " 0 failed" in workspace.terraform("test", "-filter=tests/bucket.tftest.hcl")
