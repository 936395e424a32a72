"""From any two overlays nothing is shared, and no customer's pod can reach, or be reached by,
another's. OVERLAYS_DIR points these tests at other overlays, such as Terraform's generated ones."""

import itertools

import isolation
import network
from rendering import Overlay, pod_templates

PORTS = {"http": 4545, "store": 4443}
INGRESS_NGINX = network.Peer("ingress-nginx", {"app.kubernetes.io/component": "controller"})
PROMETHEUS = network.Peer("monitoring", {"app.kubernetes.io/name": "prometheus"})
LOAD_BALANCER = network.Peer(address="35.191.3.4")
DNS = network.Peer("kube-system", {"k8s-app": "kube-dns"})
METADATA_SERVER = network.Peer(address="169.254.169.254")
GOOGLE = network.Peer(address="142.250.185.219")
PRIVATE_GOOGLE = network.Peer(address="199.36.153.10")
STRANGER = network.Peer("default", {"app.kubernetes.io/name": "gcs-uploader"})


def server(overlay: Overlay) -> network.Peer:
    return network.Peer(overlay.namespace, overlay.pod["metadata"]["labels"])


def pods(overlay: Overlay) -> list[tuple[str, network.Peer]]:
    return [
        (name, network.Peer(overlay.namespace, template["metadata"]["labels"]))
        for name, template in pod_templates(overlay.objects)
    ]


def policies(*overlays: Overlay) -> list[dict]:
    return [policy for overlay in overlays for policy in overlay.of_kind("NetworkPolicy")]


def may(overlay: Overlay, direction: str, other: network.Peer, port: int, protocol="TCP") -> bool:
    return network.allowed(
        policies(overlay), direction, server(overlay), other, port, PORTS, protocol
    )


def uses(overlay: Overlay, policy: str) -> bool:
    return any(one["metadata"]["name"] == policy for one in overlay.of_kind("NetworkPolicy"))


# Nothing is shared


def test_no_two_overlays_share_anything(overlays: list[Overlay]):
    assert isolation.shared(overlays) == {}


def test_every_object_lies_in_the_customers_namespace(overlay: Overlay):
    for one in overlay.objects:
        if one["kind"] == "Namespace":
            continue
        assert one["metadata"]["namespace"] == overlay.namespace, one["metadata"]["name"]


def test_every_object_carries_the_customers_label(overlay: Overlay):
    instances = {one["metadata"]["labels"]["app.kubernetes.io/instance"] for one in overlay.objects}
    assert instances == {overlay.instance}


def test_a_customers_names_are_in_no_other_customers_overlay(overlays: list[Overlay]):
    assert {one.name: isolation.strangers(one, overlays) for one in overlays} == {
        one.name: set() for one in overlays
    }


# Selectors match exactly their own pods


def selectors(overlay: Overlay):
    for one in overlay.objects:
        spec, name = one.get("spec", {}), f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] in {"Deployment", "PodDisruptionBudget"}:
            yield name, spec["selector"]
        if one["kind"] in {"PodMonitor", "PodMonitoring"}:
            yield name, spec["selector"]
        if one["kind"] == "Service":
            yield name, {"matchLabels": spec["selector"]}
        if one["kind"] == "NetworkPolicy" and spec["podSelector"]:
            yield name, spec["podSelector"]
        if one["kind"] == "Deployment":
            for constraint in spec["template"]["spec"].get("topologySpreadConstraints", []):
                yield f"{name} {constraint['topologyKey']}", constraint["labelSelector"]


def workload(name: str) -> str:
    """Which workload an object is about, by its name."""
    return "demo-store" if "/demo-store" in name else "gcs-uploader"


def test_a_selector_matches_exactly_its_own_pods(overlays: list[Overlay]):
    for overlay in overlays:
        for name, selector in selectors(overlay):
            # What lies in a namespace selects in it alone.
            selected = [pod for pod, peer in pods(overlay) if network.matches(selector, peer.labels)]
            assert selected == [f"Deployment/{workload(name)}"], f"{overlay.name} {name}"


def test_no_selector_matches_another_customers_pods_even_without_namespaces(overlays):
    for one, other in itertools.permutations(overlays, 2):
        for name, selector in selectors(one):
            if name.startswith("PodMonitor"):
                continue  # Prometheus looks in the monitor's own namespace; see the test above.
            for pod, peer in pods(other):
                assert not network.matches(selector, peer.labels), f"{one.name} {name}: {pod}"


def test_the_autoscaler_scales_the_customers_own_deployment(overlay: Overlay):
    target = overlay.the("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "gcs-uploader")
    assert "replicas" not in overlay.the("Deployment")["spec"], "two would own one number"


# Traffic


def test_everything_is_denied_that_is_not_allowed(overlay: Overlay):
    someone_elses_pod = network.Peer(overlay.namespace, {"app": "unknown"})
    for direction in ("Ingress", "Egress"):
        for other in (STRANGER, GOOGLE, INGRESS_NGINX, someone_elses_pod):
            assert not network.allowed(
                policies(overlay), direction, someone_elses_pod, other, 443, PORTS
            )


def test_only_the_entrance_and_the_monitoring_come_in(overlay: Overlay):
    for entrance, policy in (
        (INGRESS_NGINX, "gcs-uploader-from-ingress-nginx"),
        (LOAD_BALANCER, "gcs-uploader-from-google-load-balancers"),
        (PROMETHEUS, "gcs-uploader-from-monitoring"),
    ):
        assert may(overlay, "Ingress", entrance, 4545) == uses(overlay, policy), policy
        assert not may(overlay, "Ingress", entrance, 22)
    neighbour = network.Peer(overlay.namespace, {"app": "unknown"})
    other_pod_of_the_controllers_namespace = network.Peer("ingress-nginx", {"app": "unknown"})
    for stranger in (STRANGER, GOOGLE, neighbour, other_pod_of_the_controllers_namespace):
        assert not may(overlay, "Ingress", stranger, 4545)


def test_an_instance_has_exactly_one_entrance(overlay: Overlay):
    entrances = [may(overlay, "Ingress", peer, 4545) for peer in (INGRESS_NGINX, LOAD_BALANCER)]
    assert sum(entrances) == 1


def test_names_and_googles_apis_can_be_reached(overlay: Overlay):
    assert may(overlay, "Egress", DNS, 53, "UDP")
    assert may(overlay, "Egress", DNS, 53, "TCP")
    for cluster_dns in ("169.254.20.10", "169.254.169.254"):
        assert may(overlay, "Egress", network.Peer(address=cluster_dns), 53, "UDP")
    assert may(overlay, "Egress", PRIVATE_GOOGLE, 443)
    narrow = "199.36.153.8/30" in overlay.text
    assert may(overlay, "Egress", GOOGLE, 443) == (not narrow)


def test_nothing_else_can_be_reached(overlay: Overlay):
    for address in ("10.0.0.1", "172.20.1.1", "192.168.49.2", "100.64.0.1", "169.254.169.253"):
        for port in (80, 443, 6443, 10250):
            assert not may(overlay, "Egress", network.Peer(address=address), port)
    for address in ("fd00::1", "fe80::1"):
        assert not may(overlay, "Egress", network.Peer(address=address), 443)
    assert not may(overlay, "Egress", GOOGLE, 80)
    assert not may(overlay, "Egress", STRANGER, 4545)
    assert not may(overlay, "Egress", network.Peer("kube-system", {"k8s-app": "other"}), 53, "UDP")


def test_the_metadata_server_is_for_workload_identity_alone(overlay: Overlay):
    """On a node without it, the metadata server would hand out the node's own identity."""
    federated = uses(overlay, "gcs-uploader-to-metadata-server")
    assert may(overlay, "Egress", METADATA_SERVER, 80) == federated
    keyed = "GOOGLE_APPLICATION_CREDENTIALS" in overlay.settings
    demo = "STORAGE_EMULATOR_HOST" in overlay.settings
    assert [federated, keyed, demo].count(True) == 1, "exactly one identity"


def test_no_customer_reaches_another(overlays: list[Overlay]):
    for one, other in itertools.permutations(overlays, 2):
        for name, peer in pods(other):
            own = policies(one)
            assert not network.allowed(own, "Ingress", server(one), peer, 4545, PORTS), name
            assert not network.allowed(own, "Egress", server(one), peer, 4545, PORTS), name


def test_kustomize_gives_an_overlays_labels_to_no_foreign_pod(overlay: Overlay):
    """It adds them to every matchLabels of a podSelector, also where the peer is a cluster's DNS."""
    for policy in overlay.of_kind("NetworkPolicy"):
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction) or []:
                for peer in rule.get(side) or []:
                    if "namespaceSelector" in peer:
                        assert "matchLabels" not in peer.get("podSelector", {})
