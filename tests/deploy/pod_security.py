"""The Pod Security Standard `restricted`, rule by rule.

Written from the standard's own text (kubernetes.io, Concepts → Security → Pod Security Standards).
Each rule takes a pod's metadata and spec and names the fields that break it. `restricted` is the
sum of all rules: those of `baseline`, and its own.
"""

from collections.abc import Callable, Iterator

Rule = Callable[[dict, dict], Iterator[str]]
RULES: dict[str, Rule] = {}

SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def rule(name: str) -> Callable[[Rule], Rule]:
    def register(check: Rule) -> Rule:
        RULES[name] = check
        return check

    return register


def violations(template: dict) -> dict[str, list[str]]:
    """Each broken rule with the fields that break it; empty for a pod that `restricted` admits."""
    metadata, spec = template.get("metadata") or {}, template["spec"]
    found = {name: list(check(metadata, spec)) for name, check in RULES.items()}
    return {name: fields for name, fields in found.items() if fields}


def containers(spec: dict) -> Iterator[tuple[str, dict, dict]]:
    for field in CONTAINERS:
        for container in spec.get(field) or []:
            where = f"{field}[{container['name']}]"
            yield where, container, container.get("securityContext") or {}


def contexts(spec: dict) -> Iterator[tuple[str, dict]]:
    yield "securityContext", spec.get("securityContext") or {}
    for where, _, context in containers(spec):
        yield f"{where}.securityContext", context


@rule("HostProcess")
def no_host_process(_metadata, spec):
    for where, context in contexts(spec):
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield f"{where}.windowsOptions.hostProcess"


@rule("Host Namespaces")
def no_host_namespaces(_metadata, spec):
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field


@rule("Privileged Containers")
def not_privileged(_metadata, spec):
    for where, _, context in containers(spec):
        if context.get("privileged"):
            yield f"{where}.securityContext.privileged"


@rule("HostPath Volumes")
def no_host_path(_metadata, spec):
    for volume in spec.get("volumes") or []:
        if "hostPath" in volume:
            yield f"volumes[{volume['name']}].hostPath"


@rule("Host Ports")
def no_host_ports(_metadata, spec):
    for where, container, _ in containers(spec):
        for port in container.get("ports") or []:
            if port.get("hostPort"):
                yield f"{where}.ports.hostPort"


@rule("Host Probes / Lifecycle Hooks")
def no_host_in_probes(_metadata, spec):
    for where, container, _ in containers(spec):
        handlers = {
            probe: container.get(probe) or {}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        } | {
            f"lifecycle.{hook}": handler
            for hook, handler in (container.get("lifecycle") or {}).items()
            if isinstance(handler, dict)
        }
        for name, handler in handlers.items():
            for action in ("httpGet", "tcpSocket"):
                if (handler.get(action) or {}).get("host"):
                    yield f"{where}.{name}.{action}.host"


@rule("AppArmor")
def apparmor_not_off(metadata, spec):
    for where, context in contexts(spec):
        profile = context.get("appArmorProfile") or {}
        if profile.get("type") not in {None, "RuntimeDefault", "Localhost"}:
            yield f"{where}.appArmorProfile.type"
    for name, profile in (metadata.get("annotations") or {}).items():
        if name.startswith("container.apparmor.security.beta.kubernetes.io/"):
            if profile not in {"", "runtime/default"} and not profile.startswith("localhost/"):
                yield f"annotations[{name}]"


@rule("SELinux")
def selinux_not_set(_metadata, spec):
    for where, context in contexts(spec):
        options = context.get("seLinuxOptions") or {}
        if options.get("type") not in SELINUX_TYPES:
            yield f"{where}.seLinuxOptions.type"
        for field in ("user", "role"):
            if options.get(field):
                yield f"{where}.seLinuxOptions.{field}"


@rule("/proc Mount Type")
def default_proc_mount(_metadata, spec):
    for where, _, context in containers(spec):
        if context.get("procMount") not in {None, "Default"}:
            yield f"{where}.securityContext.procMount"


@rule("Sysctls")
def safe_sysctls(_metadata, spec):
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or []:
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"securityContext.sysctls[{sysctl['name']}]"


@rule("Volume Types")
def restricted_volumes(_metadata, spec):
    for volume in spec.get("volumes") or []:
        types = set(volume) - {"name"}
        # An empty source is an emptyDir; a hostPath is the rule above's.
        if not types <= RESTRICTED_VOLUMES | {"hostPath"}:
            yield f"volumes[{volume['name']}]"


@rule("Privilege Escalation")
def no_privilege_escalation(_metadata, spec):
    for where, _, context in containers(spec):
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{where}.securityContext.allowPrivilegeEscalation"


@rule("Running as Non-root")
def runs_as_non_root(_metadata, spec):
    pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    for where, _, context in containers(spec):
        if context.get("runAsNonRoot", pod) is not True:
            yield f"{where}.securityContext.runAsNonRoot"


@rule("Running as Non-root user")
def user_is_not_root(_metadata, spec):
    for where, context in contexts(spec):
        if context.get("runAsUser") == 0:
            yield f"{where}.runAsUser"


@rule("Seccomp")
def seccomp_is_on(_metadata, spec):
    pod = (spec.get("securityContext") or {}).get("seccompProfile") or {}
    for where, _, context in containers(spec):
        profile = context.get("seccompProfile") or pod
        if profile.get("type") not in {"RuntimeDefault", "Localhost"}:
            yield f"{where}.securityContext.seccompProfile.type"


@rule("Capabilities")
def no_capabilities(_metadata, spec):
    for where, _, context in containers(spec):
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []):
            yield f"{where}.securityContext.capabilities.drop"
        if not set(capabilities.get("add") or []) <= {"NET_BIND_SERVICE"}:
            yield f"{where}.securityContext.capabilities.add"
