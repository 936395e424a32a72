"""Values that occur in several files agree: drain and other timeouts, ports, probes, settings, quotas."""

import re
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from rendering import Kustomize, Overlay, documents
from running import Server

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def seconds(duration: str) -> float:
    """A duration as the server's settings write it: 25s, 5m, 1h30m."""
    parts = re.findall(r"(\d+)\s*(ms|s|m|h)", duration)
    assert "".join(number + unit for number, unit in parts) == duration.replace(" ", ""), duration
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity: 250m, 2, 64Mi."""
    text = str(text)
    for unit, factor in BINARY.items():
        if text.endswith(unit):
            return Decimal(text.removesuffix(unit)) * factor
    if text.endswith("m"):
        return Decimal(text.removesuffix("m")) / 1000
    return Decimal(text)


# The drain

# What the server takes at most, after DRAIN_TIMEOUT, to cancel what is left and tell its clients.
LAST_WORDS = 25


def test_the_grace_period_holds_the_whole_drain(overlay: Overlay):
    pre_stop = overlay.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = seconds(overlay.settings["DRAIN_TIMEOUT"])
    grace = overlay.pod["spec"]["terminationGracePeriodSeconds"]
    assert grace > pre_stop + drain + LAST_WORDS


def test_a_pod_answers_until_its_entrance_has_let_go_of_it(overlay: Overlay):
    """Google's load balancer takes up to a minute to; a proxy in the cluster, seconds."""
    pre_stop = overlay.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pre_stop >= (60 if overlay.of_kind("BackendConfig") else 10)


def test_a_drain_breaks_no_upload_that_may_still_end(overlay: Overlay):
    assert seconds(overlay.settings["DRAIN_TIMEOUT"]) >= seconds(overlay.settings["UPLOAD_TIMEOUT"])


def test_the_entrance_waits_longer_than_an_upload_may_take(overlay: Overlay):
    """Twice as long: an upload may have waited for a worker before it began."""
    upload = seconds(overlay.settings["UPLOAD_TIMEOUT"])
    grace = overlay.pod["spec"]["terminationGracePeriodSeconds"]
    annotations = overlay.the("Ingress")["metadata"].get("annotations", {})
    waits = [
        int(value)
        for name, value in annotations.items()
        if name == "nginx.ingress.kubernetes.io/proxy-read-timeout"
    ]
    for config in overlay.of_kind("BackendConfig"):
        waits.append(config["spec"]["timeoutSec"])
        assert config["spec"]["connectionDraining"]["drainingTimeoutSec"] >= grace
    assert len(waits) == 1
    assert waits[0] >= 2 * upload


def test_a_roll_out_takes_no_instance_away_before_its_successor_is_ready(overlay: Overlay):
    strategy = overlay.the("Deployment")["spec"]["strategy"]
    assert strategy["type"] == "RollingUpdate"
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_node_can_be_drained(overlay: Overlay):
    """A budget that a single replica can never meet would block the drain for ever."""
    budget = overlay.the("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] >= 1
    assert "minAvailable" not in budget


def test_instances_are_spread_over_nodes_and_zones(overlay: Overlay):
    keys = {one["topologyKey"] for one in overlay.pod["spec"]["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_the_entrance_lets_a_file_of_any_size_through_as_it_comes(overlay: Overlay):
    """nginx would refuse it, keep it on disk, or end it while it waits for a worker."""
    nginx = "nginx.ingress.kubernetes.io"
    annotations = overlay.the("Ingress")["metadata"].get("annotations", {})
    if f"{nginx}/proxy-read-timeout" not in annotations:
        return
    assert annotations[f"{nginx}/proxy-body-size"] == "0"
    assert annotations[f"{nginx}/proxy-request-buffering"] == "off"
    assert annotations[f"{nginx}/proxy-send-timeout"] == annotations[f"{nginx}/proxy-read-timeout"]


def test_a_browser_comes_back_to_the_instance_that_remembers_its_uploads(overlay: Overlay):
    annotations = overlay.the("Ingress")["metadata"].get("annotations", {})
    by_nginx = annotations.get("nginx.ingress.kubernetes.io/affinity") == "cookie"
    by_google = any(
        config["spec"]["sessionAffinity"]["affinityType"] == "GENERATED_COOKIE"
        for config in overlay.of_kind("BackendConfig")
    )
    assert by_nginx != by_google


# Ports


def exposed(repository: Path) -> int:
    lines = (repository / "Containerfile").read_text().splitlines()
    (port,) = [int(line.split()[1]) for line in lines if line.startswith("EXPOSE ")]
    return port


def test_ports_agree_from_the_image_to_the_entrance(repository: Path, overlay: Overlay):
    port = exposed(repository)
    assert overlay.settings["LISTEN_ADDR"] == f"0.0.0.0:{port}"
    (named,) = overlay.container["ports"]
    assert named == {"name": "http", "containerPort": port}
    (service,) = overlay.the("Service")["spec"]["ports"]
    assert (service["port"], service["targetPort"], service["name"]) == (port, "http", "http")
    for rule in overlay.the("Ingress")["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"] == {"name": "gcs-uploader", "port": {"name": "http"}}
    assert overlay.pod["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    for config in overlay.of_kind("BackendConfig"):
        assert config["spec"]["healthCheck"]["port"] == port


def test_the_world_sees_the_page_and_the_api_but_no_metrics(overlay: Overlay):
    for rule in overlay.the("Ingress")["spec"]["rules"]:
        paths = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]
        assert paths == [("/", "Exact"), ("/api", "Prefix")]


# Probes


def probes(overlay: Overlay) -> dict[str, str]:
    names = ("startupProbe", "livenessProbe", "readinessProbe")
    return {name: overlay.container[name]["httpGet"]["path"] for name in names}


def test_liveness_never_asks_for_cloud_storage(overlay: Overlay):
    assert probes(overlay) == {
        "startupProbe": "/api/health",
        "livenessProbe": "/api/health",
        "readinessProbe": "/api/ready",
    }
    assert all(
        overlay.container[name]["httpGet"]["port"] == "http"
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    )


@pytest.fixture(scope="module")
def server(binary: Path):
    """A running server whose store cannot be reached: it lives, and is not ready."""
    with Server(binary, {}) as running:
        yield running


def test_probes_ask_for_paths_that_the_server_has(server: Server, overlay: Overlay):
    expected = {"/api/health": {200}, "/api/ready": {200, 503}}
    for path in probes(overlay).values():
        assert server.status(path) in expected[path]
    assert server.status(overlay.pod["metadata"]["annotations"]["prometheus.io/path"]) == 200
    for config in overlay.of_kind("BackendConfig"):
        assert config["spec"]["healthCheck"]["requestPath"] == probes(overlay)["readinessProbe"]
    assert server.status("/api/no-such-path") == 404


# Settings


@pytest.fixture(scope="session")
def known_settings(binary: Path) -> set[str]:
    """The environment variables that `serve --help` names."""
    done = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True)
    names = set(re.findall(r"\[env:\s+([A-Z_]+)=?\]?", done.stdout))
    assert "GCS_BUCKET" in names, done.stdout
    return names


def test_every_setting_is_one_that_the_server_knows(known_settings: set[str], overlay: Overlay):
    assert set(overlay.settings) <= known_settings


def test_every_component_sets_what_the_server_knows(
    known_settings: set[str], kustomize: Kustomize, repository: Path, tmp_path: Path
):
    for folder in sorted((repository / "kustomize" / "components").iterdir()):
        rendered = kustomize.combination(tmp_path, repository, (folder.name,))
        unknown = set(rendered.settings) - known_settings
        assert not unknown, folder.name


def test_the_tokens_file_is_handed_over_as_soon_as_the_server_knows_it(
    known_settings: set[str], kustomize: Kustomize, repository: Path, tmp_path: Path
):
    """Mounted without the setting, the tokens would protect nothing."""
    rendered = kustomize.combination(tmp_path, repository, ("api-tokens",))
    (mount,) = rendered.container["volumeMounts"]
    handed_over = rendered.settings.get("API_TOKENS_FILE")
    expected = f"{mount['mountPath']}/tokens" if "API_TOKENS_FILE" in known_settings else None
    assert handed_over == expected


def test_the_server_takes_every_overlays_settings(binary: Path, overlay: Overlay):
    """With these settings it starts; only the address and the store are another's."""
    settings = dict(overlay.settings)
    settings.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
    with Server(binary, settings) as running:
        assert running.status("/api/health") == 200
    assert running.process.returncode == 0, running.log


def test_the_key_is_mounted_where_the_setting_says(overlay: Overlay):
    path = overlay.settings.get("GOOGLE_APPLICATION_CREDENTIALS")
    mounts = {one["mountPath"]: one["name"] for one in overlay.container.get("volumeMounts", [])}
    if path is None:
        assert not mounts
        return
    folder, _, file = path.rpartition("/")
    volumes = {one["name"]: one["secret"] for one in overlay.pod["spec"]["volumes"]}
    secret = volumes[mounts[folder]]
    assert secret["secretName"] == "gcs-uploader-key"
    assert {"key": "key.json", "path": file} in secret["items"]
    # root's, and readable through the pod's group alone.
    assert secret["defaultMode"] == 0o440
    assert overlay.pod["spec"]["securityContext"]["fsGroup"] == 65532


def test_the_user_is_the_images(repository: Path, overlay: Overlay):
    lines = (repository / "Containerfile").read_text().splitlines()
    (user,) = [line.split()[1] for line in lines if line.startswith("USER ")]
    context = overlay.pod["spec"]["securityContext"]
    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"


# Quota


def test_the_quota_holds_all_replicas_and_a_roll_outs_one_more(overlay: Overlay):
    quotas = overlay.of_kind("ResourceQuota")
    if not quotas:
        return
    (quota,) = quotas
    most = overlay.the("HorizontalPodAutoscaler")["spec"]["maxReplicas"] + 1
    resources = overlay.container["resources"]
    hard = quota["spec"]["hard"]
    assert quantity(hard["pods"]) >= most
    assert quantity(hard["requests.cpu"]) >= most * quantity(resources["requests"]["cpu"])
    assert quantity(hard["limits.memory"]) >= most * quantity(resources["limits"]["memory"])


def test_the_autoscalers_bounds_are_in_order(overlay: Overlay):
    scaler = overlay.the("HorizontalPodAutoscaler")["spec"]
    assert 1 <= scaler["minReplicas"] <= scaler["maxReplicas"]


def test_every_container_asks_for_what_the_quota_counts(overlay: Overlay):
    for one in overlay.of_kind("Deployment"):
        for container in one["spec"]["template"]["spec"]["containers"]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"])
            assert quantity(resources["limits"]["memory"]) >= quantity(
                resources["requests"]["memory"]
            )


def test_what_the_page_leaves_out_is_nowhere(overlay: Overlay):
    """A placeholder of the base or of a component that the overlay has to replace."""
    assert ".invalid" not in overlay.text


def test_the_demo_store_has_the_bucket_that_the_server_uploads_to(
    kustomize: Kustomize, repository: Path
):
    local = kustomize.overlay(repository / "kustomize" / "overlays" / "local")
    (store,) = local.the("Deployment", "demo-store")["spec"]["template"]["spec"]["containers"]
    (mount,) = store["volumeMounts"]
    assert mount["mountPath"] == f"/data/{local.settings['GCS_BUCKET']}"
    (service,) = local.the("Service", "demo-store")["spec"]["ports"]
    assert local.settings["STORAGE_EMULATOR_HOST"] == f"http://demo-store:{service['port']}"


def test_documents_are_read_whole():
    assert documents("a: 1\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    assert seconds("1h30m") == 5400 and quantity("250m") == Decimal("0.25")
