"""The deployment's Makefile targets: what they run, in which order, and what they say when
something is missing. kubectl and minikube are played by scripts that note how they were called;
rendering is real."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from required import missing


PLAYED = r"""#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
    "kubectl kustomize "*) exec "$REAL_KUBECTL" "$@" ;;
    "kubectl config current-context") [ -n "$CLUSTER" ] && echo "$CLUSTER" ;;
    "kubectl apply --filename -") cat >"$CALLS.applied" ;;
    *" get secret gcs-uploader-key") [ -n "$SECRET_IS_THERE" ] ;;
    *" rollout status "*) exit "${ROLLOUT:-0}" ;;
    *" get ingress "*".spec.rules"*) echo customer.example.com ;;
    *" get ingress "*".spec.tls"*) echo '[{"hosts":[]}]' ;;
    *" get ingress "*".status"*) echo 192.0.2.7 ;;
    *" port-forward "*)
        [ -z "$UNREACHABLE" ] || { echo "error: services not found" >&2; exit 1; }
        echo "Forwarding from 127.0.0.1:40123 -> 4545"
        exec sleep 60 ;;
esac
"""


class Workbench:
    """A PATH of played programs over the machine's own, and what was called on it."""

    def __init__(self, repository: Path, folder: Path):
        self.repository = repository
        self.calls_file = folder / "calls"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(folder),
            "CALLS": str(self.calls_file),
            "CLUSTER": "gcs-uploader",
        }
        if real := shutil.which("kubectl"):
            self.environment["REAL_KUBECTL"] = real
        for program in ("sh", "make", "sed", "git"):
            if not shutil.which(program, path=self.environment["PATH"]):
                (self.bin / program).symlink_to(shutil.which(program))

    def play(self, *programs: str) -> "Workbench":
        for program in programs:
            played = self.bin / program
            played.write_text(PLAYED)
            played.chmod(0o755)
        return self

    def without(self, *programs: str) -> "Workbench":
        """A PATH with the machine's ordinary programs, and none of these."""
        ordinary = self.bin.parent / "ordinary"
        ordinary.mkdir()
        for folder in ("/usr/bin", "/bin"):
            for program in Path(folder).iterdir():
                link = ordinary / program.name
                if program.name not in programs and not link.is_symlink():
                    link.symlink_to(program)
        self.environment["PATH"] = f"{self.bin}:{ordinary}"
        return self

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["make", "--no-print-directory", "-f", "deploy.mk", *arguments],
            cwd=self.repository,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def workbench(repository: Path, tmp_path: Path) -> Workbench:
    return Workbench(repository, tmp_path)


@pytest.fixture
def cluster(workbench: Workbench) -> Workbench:
    if shutil.which("kubectl") is None:
        missing("kubectl is not installed, so the deployment's targets cannot render")
    return workbench.play("kubectl", "minikube", "docker")


# A deployment


def test_deploy_builds_applies_waits_and_prints_the_address(cluster: Workbench):
    done = cluster.make("deploy", "CUSTOMER=customer-a")
    assert done.returncode == 0, done.stderr
    steps = [
        "docker build",
        "minikube --profile gcs-uploader image load",
        "kubectl apply",
        "kubectl --namespace gcs-uploader-customer-a rollout status",
    ]
    places = [
        next(i for i, call in enumerate(cluster.calls) if call.startswith(step)) for step in steps
    ]
    assert places == sorted(places)
    assert "https://customer.example.com" in done.stdout
    assert "192.0.2.7" in done.stdout
    applied = Path(f"{cluster.calls_file}.applied").read_text()
    assert "name: gcs-uploader-customer-a" in applied


def test_the_image_that_is_built_is_the_one_that_is_deployed(cluster: Workbench):
    cluster.make("deploy", "CUSTOMER=customer-a")
    applied = Path(f"{cluster.calls_file}.applied").read_text()
    (image,) = set(re.findall(r"image: (\S+)", applied))
    assert any(f"--tag {image} " in call for call in cluster.calls if "docker build" in call)
    assert any(call.endswith(f"image load {image}") for call in cluster.calls)


def test_a_cluster_that_cannot_pull_the_image_is_not_touched(cluster: Workbench):
    done = cluster.make("deploy", "CUSTOMER=customer-a", CLUSTER="gke_project_zone_name")
    assert done.returncode != 0
    assert "in no registry" in done.stderr
    assert not any("apply" in call for call in cluster.calls)


def test_without_its_key_a_customer_is_not_deployed(cluster: Workbench):
    if (cluster.repository / "terraform/generated/customer-b/secret.yaml").exists():
        pytest.fail("terraform/generated/ holds a real key: run this in a clean clone")
    done = cluster.make("deploy", "CUSTOMER=customer-b")
    assert done.returncode != 0
    assert "needs a service account's key" in done.stderr
    assert not any("apply" in call for call in cluster.calls)


def test_a_key_that_is_in_the_cluster_already_will_do(cluster: Workbench):
    done = cluster.make("deploy", "CUSTOMER=customer-b", SECRET_IS_THERE="yes")
    assert done.returncode == 0, done.stderr


def test_a_roll_out_that_does_not_finish_is_a_failure_with_its_reasons(cluster: Workbench):
    done = cluster.make("deploy", "CUSTOMER=customer-a", ROLLOUT="1")
    assert done.returncode != 0
    assert "did not finish" in done.stderr
    assert any("get pods,events" in call for call in cluster.calls)


def test_without_a_cluster_deploy_says_how_to_get_one(cluster: Workbench):
    done = cluster.make("deploy", "CUSTOMER=customer-a", CLUSTER="")
    assert done.returncode != 0
    assert "make minikube-start" in done.stderr


@pytest.mark.parametrize("target", ["deploy", "undeploy", "logs", "deploy-upload"])
@pytest.mark.parametrize("customer", ["", "nobody", "../template"])
def test_a_customer_that_is_not_there_is_refused_with_those_that_are(
    cluster: Workbench, target: str, customer: str
):
    done = cluster.make(target, f"CUSTOMER={customer}")
    assert done.returncode != 0
    assert "customer-a customer-b customer-c local" in done.stderr
    assert cluster.calls == []


# The rest of a customer's life


def test_undeploy_removes_the_overlay_and_names_no_bucket(cluster: Workbench):
    done = cluster.make("undeploy", "CUSTOMER=customer-a")
    assert done.returncode == 0, done.stderr
    assert cluster.calls == [
        "kubectl delete --kustomize kustomize/overlays/customer-a --ignore-not-found"
    ]


def test_logs_follow_the_customers_instances(cluster: Workbench):
    assert cluster.make("logs", "CUSTOMER=customer-a").returncode == 0
    (call,) = cluster.calls
    assert call.startswith("kubectl --namespace gcs-uploader-customer-a logs ")
    assert "app.kubernetes.io/name=gcs-uploader" in call


def test_health_and_upload_go_through_a_forwarded_port(cluster: Workbench):
    cluster.play("curl")
    assert cluster.make("health", "CUSTOMER=customer-c").returncode == 0
    assert cluster.make("deploy-upload", "CUSTOMER=customer-c", "SIZE=3MiB").returncode == 0
    forwards = [call for call in cluster.calls if "port-forward" in call]
    assert forwards == [
        "kubectl --namespace gcs-uploader-customer-c port-forward service/gcs-uploader :4545"
    ] * 2
    asked = " ".join(call for call in cluster.calls if call.startswith("curl"))
    for url in ("/api/health", "/api/ready", "/api/upload-random?size=3MiB"):
        assert f"http://127.0.0.1:40123{url}" in asked


def test_a_port_that_cannot_be_forwarded_ends_in_words(cluster: Workbench):
    done = cluster.make("health", "CUSTOMER=customer-c", UNREACHABLE="yes")
    assert done.returncode != 0
    assert "could not forward a port to gcs-uploader-customer-c" in done.stderr


def test_health_without_a_customer_asks_the_server_here(cluster: Workbench):
    cluster.play("curl")
    assert cluster.make("health").returncode == 0
    assert all("http://localhost:4545/api/" in call for call in cluster.calls)
    assert len(cluster.calls) == 2


def test_a_cluster_enforces_policies_and_has_what_the_overlays_need(cluster: Workbench):
    assert cluster.make("minikube-start").returncode == 0
    (call,) = cluster.calls
    assert "--cni calico" in call
    assert "ingress" in call and "metrics-server" in call
    assert cluster.make("minikube-destroy").returncode == 0
    assert cluster.calls[-1] == "minikube delete --profile gcs-uploader"


def test_monitoring_is_deployed_once(cluster: Workbench):
    assert cluster.make("deploy-monitoring").returncode == 0
    assert cluster.calls == ["kubectl apply --kustomize kustomize/cluster"]


def test_kustomize_build_renders_every_overlay(cluster: Workbench, repository: Path):
    cluster.environment["PATH"] = f"{cluster.bin}:/usr/bin:/bin"
    done = cluster.make("kustomize-build", "RENDER=kubectl kustomize")
    assert done.returncode == 0, done.stderr
    overlays = sorted(page.parent.name for page in repository.glob("kustomize/overlays/*/*.yaml"))
    assert done.stdout.splitlines() == [f"{name} builds" for name in overlays]


def test_kustomize_build_prints_one_overlay(cluster: Workbench, repository: Path):
    done = cluster.make("kustomize-build", "CUSTOMER=customer-a", "RENDER=kubectl kustomize")
    assert done.stdout == (repository / "tests/deploy/golden/customer-a.yaml").read_text()


# Clear words where a tool is missing


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("minikube", ["minikube-start"], "minikube is needed"),
        ("minikube", ["minikube-destroy"], "minikube is needed"),
        ("kubectl", ["deploy", "CUSTOMER=customer-a"], "kubectl is needed"),
        ("kubectl", ["undeploy", "CUSTOMER=customer-a"], "kubectl is needed"),
        ("kubectl", ["logs", "CUSTOMER=customer-a"], "kubectl is needed"),
        ("kubectl", ["health", "CUSTOMER=customer-a"], "kubectl is needed"),
        ("kubectl", ["deploy-monitoring"], "kubectl is needed"),
        ("kubectl", ["kustomize-build"], "kustomize or kubectl is needed"),
        ("docker", ["image"], "docker, podman or buildah is needed"),
    ],
)
def test_a_missing_tool_is_said_in_words(workbench: Workbench, tool, arguments, words):
    workbench.without("minikube", "kubectl", "kustomize", "docker", "podman", "buildah")
    done = workbench.make(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "not found" not in done.stderr


def test_every_target_has_a_help_text_in_a_group(repository: Path):
    text = (repository / "deploy.mk").read_text()
    targets = re.findall(r"^\.PHONY: (\S+)$", text, re.M)
    assert {
        "minikube-start", "minikube-destroy", "image", "deploy", "undeploy", "customer", "health",
        "logs", "kustomize-build", "golden", "test-deploy",
    } <= set(targets)  # fmt: skip
    for target in targets:
        assert re.search(rf"^{target}: ## \S", text, re.M), f"{target} has no help text"
    assert text.index("##@ ") < text.index(".PHONY")


def test_the_image_can_be_built_by_whoever_is_there(workbench: Workbench):
    workbench.without("minikube", "kubectl", "kustomize", "docker", "podman", "buildah")
    workbench.play("podman")
    done = workbench.make("image", "IMAGE=elsewhere/gcs-uploader:9", REAL_KUBECTL=os.devnull)
    assert done.returncode == 0, done.stderr
    (call,) = workbench.calls
    assert call.startswith("podman build --file Containerfile --tag elsewhere/gcs-uploader:9 ")
    assert re.search(r"VERSION=\d+\.\d+\.\d+", call) and re.search("REVISION=[0-9a-f]{40}", call)
