"""Renders kustomizations, and answers questions about what came out."""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Tool:
    """The command that renders a folder."""

    command: tuple[str, ...]

    @staticmethod
    def find() -> "Tool | None":
        if shutil.which("kustomize"):
            return Tool(("kustomize", "build"))
        if shutil.which("kubectl"):
            return Tool(("kubectl", "kustomize"))
        return None


class RenderingFailed(Exception):
    """kustomize refused a folder; the text is what it said."""


def documents(text: str) -> list[dict]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, Loader=loader) if document]


@dataclass(frozen=True)
class Overlay:
    """One rendered overlay: a customer."""

    name: str
    text: str
    objects: tuple[dict, ...]

    def of_kind(self, kind: str) -> list[dict]:
        return [one for one in self.objects if one["kind"] == kind]

    def the(self, kind: str, name: str = "gcs-uploader") -> dict:
        found = [one for one in self.of_kind(kind) if one["metadata"]["name"] == name]
        assert len(found) == 1, f"{self.name}: {len(found)} {kind} named {name}"
        return found[0]

    @property
    def namespace(self) -> str:
        (namespace,) = self.of_kind("Namespace")
        return namespace["metadata"]["name"]

    @property
    def instance(self) -> str:
        return self.the("Deployment")["metadata"]["labels"]["app.kubernetes.io/instance"]

    @property
    def pod(self) -> dict:
        """The server's pod template."""
        return self.the("Deployment")["spec"]["template"]

    @property
    def container(self) -> dict:
        (container,) = self.pod["spec"]["containers"]
        return container

    @property
    def settings(self) -> dict[str, str]:
        """The environment that the server's container gets."""
        (source,) = self.container["envFrom"]
        settings = self.the("ConfigMap", source["configMapRef"]["name"])["data"]
        return settings | {one["name"]: one["value"] for one in self.container.get("env", [])}

    @property
    def ingress_hosts(self) -> list[str]:
        return [
            rule["host"] for ingress in self.of_kind("Ingress") for rule in ingress["spec"]["rules"]
        ]


def pod_templates(objects) -> Iterator[tuple[str, dict]]:
    """Every pod template, with the name of the object that holds it."""
    for one in objects:
        template = one.get("spec", {}).get("template")
        if one["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job"} and template:
            yield f"{one['kind']}/{one['metadata']['name']}", template


class Kustomize:
    """Renders folders, each once."""

    def __init__(self, tool: Tool):
        self._tool = tool
        self.overlay = functools.cache(self._overlay)

    def render(self, folder: Path) -> str:
        done = subprocess.run(
            [*self._tool.command, str(folder)], capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            raise RenderingFailed(done.stderr.strip())
        return done.stdout

    def _overlay(self, folder: Path) -> Overlay:
        text = self.render(folder)
        return Overlay(folder.name, text, tuple(documents(text)))

    def combination(self, folder: Path, repository: Path, components: tuple[str, ...]) -> Overlay:
        """Renders the base with these components, from a kustomization written to `folder`."""
        root = os.path.relpath(repository, folder)
        page = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "combination",
            "resources": [f"{root}/k8s"],
            "components": [f"{root}/kustomize/components/{name}" for name in components],
            "labels": [
                {"includeSelectors": True, "pairs": {"app.kubernetes.io/instance": "combination"}}
            ],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(page))
        text = self.render(folder)
        return Overlay("+".join(components), text, tuple(documents(text)))
