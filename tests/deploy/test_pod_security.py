"""Every pod is one that a namespace with the `restricted` Pod Security label admits, and the check
that says so sees each rule being broken."""

import copy
from pathlib import Path

import pytest

import pod_security
from rendering import Kustomize, Overlay, pod_templates

LABELS = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
}

# A pod that is admitted; each case below breaks one rule of it.
ADMITTED = {
    "metadata": {},
    "spec": {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "server",
                "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [{"name": "key", "secret": {"secretName": "key"}}],
    },
}


def pod(change) -> dict:
    broken = copy.deepcopy(ADMITTED)
    spec = broken["spec"]
    change(broken, spec, spec["securityContext"], spec["containers"][0])
    return broken


def security(container: dict) -> dict:
    return container["securityContext"]


BREAKING = [
    ("HostProcess", lambda p, s, c, k: c.update(windowsOptions={"hostProcess": True})),
    ("HostProcess", lambda p, s, c, k: security(k).update(windowsOptions={"hostProcess": True})),
    ("Host Namespaces", lambda p, s, c, k: s.update(hostNetwork=True)),
    ("Host Namespaces", lambda p, s, c, k: s.update(hostPID=True)),
    ("Host Namespaces", lambda p, s, c, k: s.update(hostIPC=True)),
    ("Privileged Containers", lambda p, s, c, k: security(k).update(privileged=True)),
    ("HostPath Volumes", lambda p, s, c, k: s["volumes"].append({"name": "h", "hostPath": {"path": "/"}})),
    ("Host Ports", lambda p, s, c, k: k.update(ports=[{"containerPort": 80, "hostPort": 80}])),
    ("Host Probes / Lifecycle Hooks", lambda p, s, c, k: k["livenessProbe"]["httpGet"].update(host="10.0.0.1")),
    ("Host Probes / Lifecycle Hooks", lambda p, s, c, k: k.update(lifecycle={"preStop": {"tcpSocket": {"host": "h", "port": 1}}})),
    ("AppArmor", lambda p, s, c, k: c.update(appArmorProfile={"type": "Unconfined"})),
    ("AppArmor", lambda p, s, c, k: p["metadata"].update(annotations={"container.apparmor.security.beta.kubernetes.io/server": "unconfined"})),
    ("SELinux", lambda p, s, c, k: c.update(seLinuxOptions={"type": "spc_t"})),
    ("SELinux", lambda p, s, c, k: security(k).update(seLinuxOptions={"user": "system_u"})),
    ("SELinux", lambda p, s, c, k: security(k).update(seLinuxOptions={"role": "system_r"})),
    ("/proc Mount Type", lambda p, s, c, k: security(k).update(procMount="Unmasked")),
    ("Sysctls", lambda p, s, c, k: c.update(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    ("Volume Types", lambda p, s, c, k: s["volumes"].append({"name": "n", "nfs": {"server": "n", "path": "/"}})),
    ("Privilege Escalation", lambda p, s, c, k: security(k).pop("allowPrivilegeEscalation")),
    ("Privilege Escalation", lambda p, s, c, k: security(k).update(allowPrivilegeEscalation=True)),
    ("Running as Non-root", lambda p, s, c, k: c.pop("runAsNonRoot")),
    ("Running as Non-root", lambda p, s, c, k: security(k).update(runAsNonRoot=False)),
    ("Running as Non-root user", lambda p, s, c, k: c.update(runAsUser=0)),
    ("Running as Non-root user", lambda p, s, c, k: security(k).update(runAsUser=0)),
    ("Seccomp", lambda p, s, c, k: c.pop("seccompProfile")),
    ("Seccomp", lambda p, s, c, k: security(k).update(seccompProfile={"type": "Unconfined"})),
    ("Capabilities", lambda p, s, c, k: security(k).pop("capabilities")),
    ("Capabilities", lambda p, s, c, k: security(k).update(capabilities={"drop": ["NET_RAW"]})),
    ("Capabilities", lambda p, s, c, k: security(k)["capabilities"].update(add=["SYS_ADMIN"])),
]  # fmt: skip


def test_a_pod_that_meets_the_standard_breaks_no_rule():
    assert pod_security.violations(ADMITTED) == {}


@pytest.mark.parametrize(
    ("rule", "change"), BREAKING, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(BREAKING)]
)
def test_a_broken_rule_is_named_and_no_other(rule: str, change):
    assert list(pod_security.violations(pod(change))) == [rule]


def test_every_rule_is_seen_being_broken():
    assert {rule for rule, _ in BREAKING} == set(pod_security.RULES)


def test_a_rule_reaches_every_kind_of_container():
    for field in ("initContainers", "ephemeralContainers"):
        broken = pod(lambda p, s, c, k: s.update({field: [{"name": "other"}]}))
        assert set(pod_security.violations(broken)) == {"Privilege Escalation", "Capabilities"}


def test_every_pod_of_an_overlay_meets_the_standard(overlay: Overlay):
    templates = dict(pod_templates(overlay.objects))
    assert "Deployment/gcs-uploader" in templates
    assert {name: pod_security.violations(one) for name, one in templates.items()} == {
        name: {} for name in templates
    }


def test_every_component_keeps_the_standard(kustomize: Kustomize, repository: Path, tmp_path: Path):
    for folder in sorted((repository / "kustomize" / "components").iterdir()):
        rendered = kustomize.combination(tmp_path, repository, (folder.name,))
        for name, template in pod_templates(rendered.objects):
            assert pod_security.violations(template) == {}, f"{folder.name}: {name}"


def test_the_namespace_enforces_the_standard(overlay: Overlay):
    (namespace,) = overlay.of_kind("Namespace")
    assert LABELS.items() <= namespace["metadata"]["labels"].items()


def test_a_pod_has_more_than_the_standard_asks_for(overlay: Overlay):
    for name, template in pod_templates(overlay.objects):
        assert template["spec"]["automountServiceAccountToken"] is False, name
        assert template["spec"]["securityContext"]["runAsUser"] >= 10_000, name
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name


def test_the_server_can_write_nowhere(overlay: Overlay):
    assert all(mount.get("readOnly") for mount in overlay.container.get("volumeMounts", []))
    writable = {"emptyDir", "ephemeral", "persistentVolumeClaim", "csi"}
    for volume in overlay.pod["spec"].get("volumes", []):
        assert not writable & set(volume), volume


def test_nobody_is_given_a_token_of_the_kubernetes_api(overlay: Overlay):
    for account in overlay.of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
