"""`make customer` writes a page that builds, is isolated, and refuses what would not work."""

import os
import re
import subprocess
from pathlib import Path

import pytest

import isolation
from rendering import Kustomize, Overlay, documents
from running import Server
from test_footprint import size
from test_agreement import test_the_quota_holds_all_replicas_and_a_roll_outs_one_more as quota_holds

NEEDED = {"BUCKET": "a-bucket", "HOST": "d.uploads.example.com"}


@pytest.fixture
def overlays_folder(repository: Path, tmp_path: Path) -> Path:
    """A repository's worth of links, so that a page written here finds the base and components."""
    (tmp_path / "k8s").symlink_to(repository / "k8s")
    (tmp_path / "kustomize").mkdir()
    (tmp_path / "kustomize" / "components").symlink_to(repository / "kustomize" / "components")
    return tmp_path / "kustomize" / "overlays"


def new_customer(repository: Path, folder: Path, name: str, **values: str):
    return subprocess.run(
        [repository / "kustomize" / "template" / "new-customer", name],
        env={"PATH": os.environ["PATH"], "OVERLAYS_DIR": str(folder)} | values,
        capture_output=True,
        text=True,
    )


def written(kustomize: Kustomize, folder: Path, name: str) -> Overlay:
    text = kustomize.render(folder / name)
    return Overlay(name, text, tuple(documents(text)))


def test_a_fourth_customer_is_one_command(
    repository: Path, kustomize: Kustomize, overlays_folder: Path, overlays: list[Overlay]
):
    done = new_customer(repository, overlays_folder, "customer-d", **NEEDED)
    assert done.returncode == 0, done.stderr
    fourth = written(kustomize, overlays_folder, "customer-d")
    assert fourth.namespace == "gcs-uploader-customer-d"
    assert fourth.settings["GCS_BUCKET"] == "a-bucket"
    assert fourth.ingress_hosts == ["d.uploads.example.com"]
    assert isolation.shared([*overlays, fourth]) == {}
    quota_holds(fourth)


def test_every_value_ends_up_where_it_belongs(
    repository: Path, kustomize: Kustomize, overlays_folder: Path
):
    values = {
        "NAMESPACE": "elsewhere", "BUCKET": "b.with.dots", "OBJECT_PREFIX": "in/2026/",
        "HOST": "e.example.com", "GCP_SERVICE_ACCOUNT": "e@p-1.iam.gserviceaccount.com",
        "UPLOAD_SIZE": "2MiB", "MAX_UPLOAD_SIZE": "7GiB", "WORKERS": "5",
        "MIN_REPLICAS": "3", "MAX_REPLICAS": "9", "CPU_REQUEST": "1", "MEMORY_REQUEST": "48Mi",
        "MEMORY_LIMIT": "96Mi", "QUOTA_CPU": "11", "QUOTA_MEMORY": "1Gi", "QUOTA_PODS": "13",
        "COMPONENTS": "ingress-gke pod-monitor",
    }  # fmt: skip
    done = new_customer(repository, overlays_folder, "e1e3", **values)
    assert done.returncode == 0, done.stderr
    made = written(kustomize, overlays_folder, "e1e3")
    assert made.namespace == "elsewhere"
    assert made.instance == "e1e3"
    assert {
        "GCS_BUCKET": "b.with.dots",
        "OBJECT_PREFIX": "in/2026/",
        "UPLOAD_SIZE": "2MiB",
        "MAX_UPLOAD_SIZE": "7GiB",
        "WORKERS": "5",
    }.items() <= made.settings.items()
    account = made.the("ServiceAccount")["metadata"]["annotations"]
    assert account == {"iam.gke.io/gcp-service-account": "e@p-1.iam.gserviceaccount.com"}
    assert made.container["resources"] == {
        "requests": {"cpu": "1", "memory": "48Mi"},
        "limits": {"memory": "96Mi"},
    }
    scaler = made.the("HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
    assert made.the("ResourceQuota")["spec"]["hard"] == {
        "requests.cpu": "11",
        "limits.memory": "1Gi",
        "pods": "13",
    }
    assert made.of_kind("PodMonitor") and made.of_kind("BackendConfig")


@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "on"])
def test_a_name_that_yaml_would_take_for_something_else_stays_a_name(
    repository: Path, kustomize: Kustomize, overlays_folder: Path, name: str
):
    new_customer(repository, overlays_folder, name, NAMESPACE=name, **NEEDED)
    made = written(kustomize, overlays_folder, name)
    assert (made.instance, made.namespace) == (name, name)


@pytest.mark.parametrize(
    "values",
    [
        {"BUCKET": "0ab"},
        {"BUCKET": "a-b_c.d"},
        {"OBJECT_PREFIX": "in/a.b/c_d=1/x-"},
        {"UPLOAD_SIZE": "0", "MAX_UPLOAD_SIZE": "1"},
        {"UPLOAD_SIZE": "7B", "MAX_UPLOAD_SIZE": "2TiB"},
        {"UPLOAD_SIZE": "1kB", "MAX_UPLOAD_SIZE": "5GB"},
        {"WORKERS": "1"},
        {"WORKERS": "4096", "MEMORY_LIMIT": "21Gi"},
    ],
    ids=str,
)
def test_the_server_takes_what_is_let_through(
    repository: Path,
    kustomize: Kustomize,
    overlays_folder: Path,
    binary: Path,
    values: dict[str, str],
):
    done = new_customer(repository, overlays_folder, "d", **NEEDED | values)
    assert done.returncode == 0, done.stderr
    with Server(binary, written(kustomize, overlays_folder, "d").settings) as running:
        assert running.status("/api/health") == 200


def test_without_impersonation_the_service_account_is_bare(
    repository: Path, kustomize: Kustomize, overlays_folder: Path
):
    new_customer(repository, overlays_folder, "customer-d", **NEEDED)
    made = written(kustomize, overlays_folder, "customer-d")
    assert "annotations" not in made.the("ServiceAccount")["metadata"]


def test_a_page_that_is_there_is_not_overwritten(repository: Path, overlays_folder: Path):
    assert new_customer(repository, overlays_folder, "d", **NEEDED).returncode == 0
    page = overlays_folder / "d" / "kustomization.yaml"
    page.write_text("mine\n")
    refused = new_customer(repository, overlays_folder, "d", **NEEDED)
    assert refused.returncode == 2
    assert "already exists" in refused.stderr
    assert page.read_text() == "mine\n"
    assert new_customer(repository, overlays_folder, "d", FORCE="1", **NEEDED).returncode == 0
    assert page.read_text() != "mine\n"


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        ("Customer", {}, "DNS label"),
        ("-a", {}, "DNS label"),
        ("a_b", {}, "DNS label"),
        ("../a", {}, "DNS label"),
        ("a" * 31, {}, "at most 30"),
        ("a", {"BUCKET": ""}, "BUCKET is missing"),
        ("a", {"BUCKET": "Upper"}, "bucket name"),
        ("a", {"BUCKET": "x"}, "bucket name"),
        ("a", {"HOST": ""}, "HOST is missing"),
        ("a", {"HOST": "https://a.example.com"}, "host name"),
        ("a", {"HOST": 'a"\n- op: remove'}, "line break"),
        ("a", {"NAMESPACE": "a/b"}, "DNS label"),
        ("a", {"OBJECT_PREFIX": "a b"}, "OBJECT_PREFIX is"),
        ("a", {"OBJECT_PREFIX": "/a/"}, "without a leading slash"),
        ("a", {"OBJECT_PREFIX": "a//b/"}, "OBJECT_PREFIX is"),
        ("a", {"OBJECT_PREFIX": "a/../b/"}, "for a folder"),
        ("a", {"IDENTITY": "none"}, "workload-identity or service-account-key"),
        ("a", {"GCP_SERVICE_ACCOUNT": "someone@example.com"}, "service account's e-mail"),
        (
            "a",
            {"IDENTITY": "service-account-key", "GCP_SERVICE_ACCOUNT": "e@p.iam.gserviceaccount.com"},
            "is for workload identity",
        ),
        ("a", {"UPLOAD_SIZE": "big"}, "a size such as"),
        ("a", {"UPLOAD_SIZE": "1Mi"}, "a size such as"),
        ("a", {"WORKERS": "0"}, "whole number"),
        ("a", {"WORKERS": "4097"}, "at most 4096"),
        ("a", {"WORKERS": "49"}, "49 workers need at least 261Mi"),
        ("a", {"MEMORY_LIMIT": "180223Ki"}, "32 workers need at least 176Mi"),
        ("a", {"MIN_REPLICAS": "5", "MAX_REPLICAS": "4"}, "is above MAX_REPLICAS"),
        ("a", {"CPU_REQUEST": "fast"}, "quantity of CPU"),
        ("a", {"MEMORY_LIMIT": "256"}, "quantity of memory"),
        ("a", {"COMPONENTS": "no-such-one"}, "kustomize/components/ has:"),
    ],
)
def test_a_value_that_cannot_work_is_refused_and_nothing_written(
    repository: Path, overlays_folder: Path, name: str, values: dict[str, str], complaint: str
):
    refused = new_customer(repository, overlays_folder, name, **NEEDED | values)
    assert refused.returncode == 2, refused.stdout
    assert complaint in refused.stderr
    assert not overlays_folder.exists()


def test_both_renderers_leave_room_for_what_the_base_lets_each_worker_hold(
    repository: Path, kustomize: Kustomize
):
    (base,) = [
        one for one in documents(kustomize.render(repository / "k8s")) if one["kind"] == "ConfigMap"
    ]
    for renderer, pattern in (
        ("kustomize/template/new-customer", r"needed=\$\(\((\d+) \+ (\d+) \* workers\)\)"),
        ("terraform/modules/customer/variables.tf", r">= (\d+) \+ (\d+) \* var\.sizes\.workers"),
    ):
        (besides, each), = re.findall(pattern, (repository / renderer).read_text())
        # In MiB. What a worker takes itself, and the server besides, is in docs/capacity.md.
        assert int(each) << 20 >= size(base["data"]["UPLOAD_WINDOW"]) + (1 << 19), renderer
        assert int(besides) >= 10, renderer


def test_the_template_and_the_renderer_know_the_same_variables(repository: Path):
    folder = repository / "kustomize" / "template"
    used = {
        name
        for page in folder.glob("*.tftpl")
        for name in re.findall(r"\$\{([^}]*)\}", page.read_text())
    }
    assert all(re.fullmatch("[a-z_]+", name) for name in used), "plain substitution only"
    assert not any("%{" in page.read_text() for page in folder.glob("*.tftpl"))
    described = set(re.findall(r"`([a-z_]+)`", (folder / "README.md").read_text()))
    assert used <= described
