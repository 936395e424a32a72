"""What a customer has, and what of it somebody else has as well."""

import re
from collections import defaultdict
from collections.abc import Iterable

from rendering import Overlay, pod_templates


def belongings(overlay: Overlay) -> set[tuple[str, str]]:
    """Everything that must be one customer's alone, each as (what it is, its name)."""
    own = {("namespace", overlay.namespace), ("instance", overlay.instance)}
    own |= {("ingress host", host) for host in overlay.ingress_hosts}
    for ingress in overlay.of_kind("Ingress"):
        for entry in ingress["spec"].get("tls", []):
            own |= {("certificate host", host) for host in entry["hosts"]}
    own.add(("bucket", overlay.settings["GCS_BUCKET"]))
    for one in overlay.objects:
        metadata = one["metadata"]
        if one["kind"] != "Namespace":
            own.add(("object", f"{one['kind']} {metadata.get('namespace')}/{metadata['name']}"))
        google = (metadata.get("annotations") or {}).get("iam.gke.io/gcp-service-account")
        if google:
            own.add(("Google service account", google))
    for _, template in pod_templates(overlay.objects):
        spec = template["spec"]
        account = spec.get("serviceAccountName", "default")
        own.add(("service account", f"{overlay.namespace}/{account}"))
        for volume in spec.get("volumes") or []:
            if "secret" in volume:
                own.add(("secret", f"{overlay.namespace}/{volume['secret']['secretName']}"))
    return own


def shared(overlays: Iterable[Overlay]) -> dict[tuple[str, str], list[str]]:
    """What more than one overlay has, with the names of those."""
    owners = defaultdict(list)
    for overlay in overlays:
        for belonging in belongings(overlay):
            owners[belonging].append(overlay.name)
    return {belonging: names for belonging, names in owners.items() if len(names) > 1}


def names(overlay: Overlay) -> set[str]:
    """The words that are this customer's, and that no other's rendering may hold."""
    return {overlay.instance, overlay.namespace, overlay.settings["GCS_BUCKET"], *overlay.ingress_hosts}


def strangers(overlay: Overlay, others: Iterable[Overlay]) -> set[str]:
    """Words of other customers that this overlay's rendering holds."""
    words = set(re.findall(r"[\w.-]+", overlay.text))
    return {name for other in others if other is not overlay for name in names(other) & words}
