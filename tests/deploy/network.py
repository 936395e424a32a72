"""Who may talk to whom under a set of NetworkPolicies: what a cluster that enforces them would do.

A policy speaks of the pods of its own namespace. A pod that no policy of a direction selects may
do anything in it; one that is selected may do what any of these policies allows, and nothing else.
"""

import ipaddress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod with its labels in a namespace, or an address outside."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    address: str = ""


def matches(selector: dict | None, labels: dict[str, str]) -> bool:
    """Whether a label selector selects these labels. An empty one selects everything."""
    selector = selector or {}
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        held = {
            "In": labels.get(expression["key"]) in expression.get("values", []),
            "NotIn": labels.get(expression["key"]) not in expression.get("values", []),
            "Exists": expression["key"] in labels,
            "DoesNotExist": expression["key"] not in labels,
        }[expression["operator"]]
        if not held:
            return False
    return True


def allowed(policies: list[dict], direction: str, own: Peer, other: Peer, port: int,
            ports: dict[str, int], protocol: str = "TCP") -> bool:  # fmt: skip
    """Whether `own` may be reached by `other` ("Ingress") or may reach it ("Egress") at this port.

    `ports` are the named ports of the pod at the receiving end.
    """
    selecting = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == own.namespace
        and direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], own.labels)
    ]
    if not selecting:
        return True
    side = "from" if direction == "Ingress" else "to"
    return any(
        _peer_fits(rule.get(side), own, other) and _port_fits(rule.get("ports"), port, ports, protocol)
        for policy in selecting
        for rule in policy["spec"].get(direction.lower()) or []
    )


def _peer_fits(peers: list[dict] | None, own: Peer, other: Peer) -> bool:
    return not peers or any(_one_peer_fits(peer, own, other) for peer in peers)


def _one_peer_fits(peer: dict, own: Peer, other: Peer) -> bool:
    if block := peer.get("ipBlock"):
        if not other.address:
            return False
        address = ipaddress.ip_address(other.address)
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(hole) for hole in block.get("except", [])
        )
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        name = {"kubernetes.io/metadata.name": other.namespace}
        if not matches(peer["namespaceSelector"], name):
            return False
    elif other.namespace != own.namespace:
        return False
    return matches(peer.get("podSelector"), other.labels)


def _port_fits(rules: list[dict] | None, port: int, ports: dict[str, int], protocol: str) -> bool:
    return not rules or any(
        rule.get("protocol", "TCP") == protocol
        and ports.get(rule["port"], rule["port"]) == port
        for rule in rules
    )
