"""Every overlay, and every sensible combination of components, builds, is what the golden rendering
says, and is valid for every Kubernetes version that is supported."""

import difflib
import functools
import itertools
import json
import os
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from rendering import Kustomize, Overlay, RenderingFailed, documents

# From the first release whose kubelet sleeps before a stop (preStop.sleep) to the newest known.
KUBERNETES = [f"1.{minor}" for minor in range(30, 38)]

# Kinds of operators and of GKE. Their schemas are not among Kubernetes' own; these objects are
# built and read by these tests, but not validated.
WITHOUT_SCHEMA = {
    "BackendConfig",
    "FrontendConfig",
    "PodMonitor",
    "PodMonitoring",
    "PrometheusRule",
    "ServiceMonitor",
}

# What one may choose, one of each line.
CHOICES = (
    (("workload-identity",), ("service-account-key",), ("demo-store",)),
    (("ingress-nginx",), ("ingress-gke",)),
    ((), ("tls",)),
    ((), ("pod-monitor",), ("service-monitor",), ("pod-monitoring-gke",)),
    ((), ("api-tokens",)),
)
# What goes with everything.
EXTRAS = ("quota", "egress-google-vip", "autoscale-on-queue")


def combinations() -> list[tuple[str, ...]]:
    """All choices with one another; each extra is in half of them, in a rhythm of its own."""
    chosen = []
    for number, choice in enumerate(itertools.product(*CHOICES)):
        extras = tuple(
            extra
            for place, extra in enumerate(EXTRAS)
            if bin(number * 2654435761 >> (7 + place * 3)).count("1") % 2
        )
        chosen.append(("release", "namespace", *itertools.chain(*choice), *extras))
    return chosen


@functools.cache
def has_schema(manifest: str, version: str) -> bool:
    """Validates a manifest, in JSON, strictly; returns whether there is a schema for its kind.

    Cached, because the combinations of components have most of their objects in common.
    """
    try:
        kubernetes_validate.validate(json.loads(manifest), version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return False
    return True


def validate(objects, version: str) -> set[str]:
    """Validates strictly; returns the kinds that there is no schema for."""
    return {
        one["kind"] for one in objects if not has_schema(json.dumps(one, sort_keys=True), version)
    }


def test_every_component_is_in_some_combination(repository: Path):
    there = {folder.name for folder in (repository / "kustomize" / "components").iterdir()}
    used = set(itertools.chain(*combinations()))
    once_per_cluster = {"alerts", "dashboard"}
    assert there == used | once_per_cluster


def test_every_two_components_that_go_together_are_in_one_combination():
    alternatives = {
        frozenset(pair)
        for choice in CHOICES
        for pair in itertools.combinations(itertools.chain(*choice), 2)
    }
    names = set(itertools.chain(*combinations()))
    together = {
        frozenset(pair)
        for combination in combinations()
        for pair in itertools.combinations(combination, 2)
    }
    wanted = {frozenset(pair) for pair in itertools.combinations(names, 2)} - alternatives
    assert wanted <= together


@pytest.mark.parametrize("components", combinations(), ids="+".join)
def test_a_combination_of_components_builds_and_is_valid(
    kustomize: Kustomize, repository: Path, tmp_path: Path, components: tuple[str, ...]
):
    rendered = kustomize.combination(tmp_path, repository, components)
    for version in (KUBERNETES[0], KUBERNETES[-1]):
        assert validate(rendered.objects, version) <= WITHOUT_SCHEMA


@pytest.mark.parametrize("version", KUBERNETES)
def test_an_overlay_is_valid(overlay: Overlay, version: str):
    assert validate(overlay.objects, version) <= WITHOUT_SCHEMA


def test_what_a_cluster_has_once_builds(kustomize: Kustomize, repository: Path):
    objects = documents(kustomize.render(repository / "kustomize" / "cluster"))
    assert {one["kind"] for one in objects} == {"ConfigMap", "PrometheusRule"}
    assert {one["metadata"]["namespace"] for one in objects} == {"monitoring"}
    assert validate(objects, KUBERNETES[-1]) <= WITHOUT_SCHEMA


def test_a_field_that_kubernetes_does_not_have_is_refused(overlays: list[Overlay]):
    broken = yaml.safe_load(yaml.safe_dump(overlays[0].the("Deployment")))
    broken["spec"]["template"]["spec"]["containers"][0]["liveness"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([broken], KUBERNETES[-1])


def test_a_value_of_the_wrong_type_is_refused(overlays: list[Overlay]):
    broken = yaml.safe_load(yaml.safe_dump(overlays[0].the("HorizontalPodAutoscaler")))
    broken["spec"]["maxReplicas"] = "many"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([broken], KUBERNETES[-1])


def test_a_component_that_is_not_there_is_refused(
    kustomize: Kustomize, repository: Path, tmp_path: Path
):
    with pytest.raises(RenderingFailed, match="no-such-component"):
        kustomize.combination(tmp_path, repository, ("no-such-component",))


def test_rendering_is_deterministic(kustomize: Kustomize, repository: Path, overlay: Overlay):
    folder = repository / "kustomize" / "overlays" / overlay.name
    assert kustomize.render(folder) == overlay.text


def test_the_golden_rendering_is_current(repository: Path, overlay: Overlay):
    golden = repository / "tests" / "deploy" / "golden" / f"{overlay.name}.yaml"
    assert golden.exists(), f"no golden rendering of {overlay.name}: run `make golden`"
    before, now = documents(golden.read_text()), list(overlay.objects)
    difference = difflib.unified_diff(
        yaml.safe_dump_all(before).splitlines(),
        yaml.safe_dump_all(now).splitlines(),
        str(golden),
        "as rendered now",
        lineterm="",
    )
    assert before == now, "run `make golden`, and review:\n" + "\n".join(difference)


def test_no_golden_rendering_is_left_over(repository: Path):
    golden = {page.stem for page in (repository / "tests" / "deploy" / "golden").glob("*.yaml")}
    pages = {page.parent.name for page in repository.glob("kustomize/overlays/*/kustomization.yaml")}
    assert golden == pages


def test_the_base_names_no_customer_no_namespace_and_no_release(
    kustomize: Kustomize, repository: Path
):
    base = documents(kustomize.render(repository / "k8s"))
    assert base
    for one in base:
        assert "namespace" not in one["metadata"]
        assert one["kind"] != "Namespace"
        assert "app.kubernetes.io/instance" not in one["metadata"]["labels"]
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            assert container["image"] == "gcs-uploader"
        if one["kind"] == "ConfigMap":
            assert "GCS_BUCKET" not in one["data"]


def test_an_image_is_a_release_never_latest(overlay: Overlay):
    for one in overlay.of_kind("Deployment"):
        for container in one["spec"]["template"]["spec"]["containers"]:
            name, _, tag = container["image"].partition(":")
            assert name and tag and "latest" not in tag, container["image"]
            assert tag[0].isdigit() or "@sha256:" in container["image"], container["image"]


def test_the_version_label_is_that_of_the_image(overlay: Overlay):
    tag = overlay.container["image"].split("@")[0].rpartition(":")[2]
    assert overlay.pod["metadata"]["labels"]["app.kubernetes.io/version"] == tag


def test_a_changed_setting_rolls_out(
    kustomize: Kustomize, repository: Path, tmp_path: Path, overlay: Overlay
):
    """The ConfigMap's name follows its content, and the pod template follows the name."""
    folder = repository / "kustomize" / "overlays" / overlay.name
    page = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for field in ("resources", "components"):
        page[field] = [os.path.relpath(folder / entry, tmp_path) for entry in page[field]]
    changed = {"name": "gcs-uploader", "behavior": "merge", "literals": ["QUEUE_DEPTH=7"]}
    generators = page.setdefault("configMapGenerator", [changed])
    if generators[0] is not changed:
        generators[0]["literals"].append("QUEUE_DEPTH=7")
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(page))
    after = Overlay(overlay.name, "", tuple(documents(kustomize.render(tmp_path))))
    assert after.settings["QUEUE_DEPTH"] == "7"
    assert after.pod != overlay.pod
