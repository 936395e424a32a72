"""Alerts, dashboard and autoscaling ask for metrics that the server has, in PromQL that parses."""

import json
import re
import time
from pathlib import Path

import promql_parser
import pytest
import yaml

from rendering import Kustomize, documents
from running import Server
from emulators import DiscardingStore, MetadataServer

# What other exporters of a cluster say: kube-state-metrics and the kubelet's cAdvisor.
OTHERS = re.compile(r"(kube|container)_[a-z_]+")
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "info": ("_info",)}


def selectors(expression) -> list[promql_parser.VectorSelector]:
    """Every vector selector of a parsed expression."""
    found, waiting = [], [expression]
    while waiting:
        one = waiting.pop()
        if isinstance(one, promql_parser.VectorSelector):
            found.append(one)
            continue
        if isinstance(one, promql_parser.MatrixSelector):
            waiting.append(one.vector_selector)
        for field in ("expr", "lhs", "rhs"):
            if hasattr(one, field):
                waiting.append(getattr(one, field))
        waiting.extend(getattr(one, "args", []) or [])
    return found


@pytest.fixture(scope="module")
def rules(kustomize: Kustomize, repository: Path) -> list[dict]:
    objects = documents(kustomize.render(repository / "kustomize" / "cluster"))
    (rule,) = [one for one in objects if one["kind"] == "PrometheusRule"]
    return [alert for group in rule["spec"]["groups"] for alert in group["rules"]]


@pytest.fixture(scope="module")
def dashboard(kustomize: Kustomize, repository: Path) -> dict:
    objects = documents(kustomize.render(repository / "kustomize" / "cluster"))
    (config,) = [one for one in objects if one["kind"] == "ConfigMap"]
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    return json.loads(config["data"]["gcs-uploader.json"])


def adapter_rule(repository: Path) -> dict:
    folder = repository / "kustomize" / "components" / "autoscale-on-queue"
    (rule,) = yaml.safe_load((folder / "prometheus-adapter-rule.yaml").read_text())
    return rule


@pytest.fixture(scope="module")
def expressions(rules: list[dict], dashboard: dict, repository: Path) -> dict[str, str]:
    """Every expression under the name of who asks it, with the tools' own variables filled in."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in rules}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = (
                target["expr"].replace("$__rate_interval", "5m").replace("$namespace", "ours")
            )
    adapter = adapter_rule(repository)
    found["autoscaler"] = (
        adapter["metricsQuery"]
        .replace("<<.LabelMatchers>>", 'namespace="ours"')
        .replace("<<.GroupBy>>", "pod")
    )
    found["autoscaler's series"] = adapter["seriesQuery"]
    return found


def test_every_expression_parses(expressions: dict[str, str]):
    for asker, expression in expressions.items():
        assert selectors(promql_parser.parse(expression)), asker


def test_an_expression_that_is_none_does_not_parse():
    with pytest.raises(ValueError):
        promql_parser.parse("sum by (namespace (up)")


@pytest.fixture(scope="module")
def exposed(binary: Path) -> dict[str, str]:
    """The families on /metrics, each with its type: of a server that has stored an object after a
    broken transfer, and of one that has a token. A family without a value is not on the page."""
    found = {}
    with DiscardingStore() as store:
        with Server(binary, {}, store=store.url) as running:
            answer = running.post("/api/upload-random?size=1MiB")
            assert answer["resumed"] == 1, answer
            found |= running.metric_families()
    with MetadataServer() as metadata:
        settings = {"GCE_METADATA_HOST": metadata.authority}
        with Server(binary, settings, store=None) as running:
            deadline = time.monotonic() + 10
            while "gcs_uploader_token_expiry_timestamp_seconds" not in found:
                assert time.monotonic() < deadline, f"no token: {sorted(found)}"
                found |= running.metric_families()
    return found


def families(exposed: dict[str, str]) -> set[str]:
    """Every name that a query may use, from the families that the page declares."""
    return {
        name + suffix for name, kind in exposed.items() for suffix in SUFFIXES.get(kind, ("",))
    }


def test_every_metric_asked_for_is_one_that_the_server_has(
    expressions: dict[str, str], exposed: dict[str, str]
):
    known = families(exposed)
    for asker, expression in expressions.items():
        for selector in selectors(promql_parser.parse(expression)):
            assert selector.name in known or OTHERS.fullmatch(selector.name), asker


def test_every_metric_of_the_server_is_watched(
    expressions: dict[str, str], exposed: dict[str, str]
):
    """What nobody looks at is listed here, with the reason."""
    unwatched = {
        # Told by the ingress and by the upload's own duration; the server's is for a closer look.
        "gcs_uploader_http_request_duration_seconds",
        # What strangers get wrong is theirs; where it costs others, the connections' alert tells.
        "gcs_uploader_connections_cut",
        "gcs_uploader_http_requests_refused",
        # Opened ahead only where READY_SESSIONS asks for it, and without them uploads go on.
        "gcs_uploader_ready_sessions",
        "gcs_uploader_ready_sessions_ended",
        "gcs_uploader_ready_sessions_failed",
        "gcs_uploader_ready_sessions_missed",
        # What customers upload is theirs to judge.
        "gcs_uploader_upload_size_bytes",
    }
    text = " ".join(expressions.values())
    assert {name for name in exposed if name not in text} <= unwatched


def test_an_alert_groups_by_customer_and_says_where_help_is(rules: list[dict], repository: Path):
    headings = re.findall(r"^### (\w+)$", (repository / "docs" / "operating.md").read_text(), re.M)
    for rule in rules:
        name = rule["alert"]
        assert "by (namespace" in rule["expr"], name
        assert "$labels.namespace" in rule["annotations"]["summary"], name
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        assert rule["annotations"]["runbook"] == f"docs/operating.md#{name.lower()}", name
        assert name in headings, f"docs/operating.md does not say what to do at {name}"
    assert len({rule["alert"] for rule in rules}) == len(rules)


def test_the_dashboard_asks_for_the_chosen_customers_alone(dashboard: dict):
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            for selector in selectors(
                promql_parser.parse(target["expr"].replace("$__rate_interval", "5m"))
            ):
                matchers = {(one.name, one.value) for one in selector.matchers.matchers}
                assert ("namespace", "$namespace") in matchers, panel["title"]


def test_the_panels_do_not_overlap(dashboard: dict):
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


def test_the_autoscaler_asks_for_the_metric_that_the_adapter_makes(
    kustomize: Kustomize, repository: Path, tmp_path: Path
):
    rendered = kustomize.combination(tmp_path, repository, ("autoscale-on-queue",))
    metrics = rendered.the("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [metric["type"] for metric in metrics] == ["Resource", "Pods"]
    assert metrics[1]["pods"]["metric"]["name"] == adapter_rule(repository)["name"]["as"]
