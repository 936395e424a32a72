"""A copy of the repository's Terraform and kustomize folders in which terraform can run.

Nothing is ever run in the repository itself: no state, no provider and no generated file gets
there. The copy has its own state; the repository's overlays of customers are left out of it, so
that what is there afterwards was generated.
"""

import copy
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# The deployment's tests know how to render and compare overlays, and what a missing tool means.
sys.path.append(str(REPOSITORY / "tests" / "deploy"))
# The longest first, so that they can be run side by side.
OWN_TESTS = [
    path.name for path in sorted((REPOSITORY / "terraform" / "tests").glob("*.tftest.hcl"), key=lambda path: (-path.stat().st_size, path.name))
]
LEFT_OUT = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfplan", "generated", "*.tfvars", "*.tfvars.json", "backend.tf")


def find_kit() -> Path | None:
    """The folder with stand-in providers, if there is one."""
    places = [os.environ.get("TERRAFORM_KIT"), REPOSITORY.parent / "shared" / "terraform-kit"]
    found = (Path(place).resolve() for place in places if place)
    return next((place for place in found if (place / "setup.sh").is_file()), None)


@dataclass(frozen=True)
class Cost:
    """What a command took: wall-clock seconds, CPU seconds, and the largest process's memory."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


class Workspace:
    def __init__(self, folder: Path, cli_config: Path | None):
        """`cli_config` names where providers come from; None: from wherever the user's do."""
        self._at(folder)
        for name in ("terraform", "kustomize", "k8s"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=LEFT_OUT)
        shutil.rmtree(self.overlays)
        # Terraform's own settings of whoever runs the tests must not reach into them.
        kept = {"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"} if cli_config is None else set()
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_")) or key in kept}
        self.environment |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": "-no-color"}
        if cli_config is None:
            # Where no registry is reached that is known at once, and not after a minute.
            self.environment |= {"TF_REGISTRY_DISCOVERY_RETRY": "0", "TF_REGISTRY_CLIENT_TIMEOUT": "10"}
        else:
            self.environment["TF_CLI_CONFIG_FILE"] = str(cli_config)

    def _at(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "terraform"
        self.overlays = folder / "kustomize" / "overlays"

    def copy(self, folder: Path) -> "Workspace":
        """Another one with the same state and files, so that a test can start from what was applied."""
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        other = copy.copy(self)
        other._at(folder)
        return other

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=cwd or self.root, env=self.environment | environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def terraform(self, *arguments: str) -> str:
        """Runs terraform in the root and returns what it says; it must succeed."""
        done = self.run("terraform", *arguments)
        assert done.returncode == 0, f"terraform {' '.join(arguments)}:\n{done.stdout}"
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """Runs terraform in the root, which must fail, and returns what it says on one line."""
        done = self.run("terraform", *arguments)
        assert done.returncode == 1, f"terraform {' '.join(arguments)} did not fail:\n{done.stdout}"
        words = done.stdout.replace("│", " ").replace("╷", " ").replace("╵", " ")
        return " ".join(words.split())

    def measured(self, *arguments: str) -> Cost:
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self.terraform(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # The largest child so far; terraform is larger than everything else that the tests start.
        return Cost(time.monotonic() - begin, cpu, after.ru_maxrss / 1024)

    def customers(self, customers: dict, **settings) -> None:
        """Writes the map of customers, and whatever else is set beside it."""
        variables = {"project_id": "example-project", "customers": customers} | settings
        (self.root / "customers.auto.tfvars.json").write_text(json.dumps(variables, indent=1))

    def example(self) -> None:
        """Puts the example's three customers in place, as its first lines tell to."""
        shutil.copy(self.root / "customers.auto.tfvars.example", self.root / "customers.auto.tfvars")

    def plan(self, *arguments: str) -> dict:
        self.terraform("plan", "-input=false", "-out=test.tfplan", *arguments)
        return json.loads(self.terraform("show", "-json", "test.tfplan"))

    def apply(self) -> None:
        self.terraform("apply", "-input=false", "-auto-approve")


def changes(plan: dict) -> dict[str, list[str]]:
    """The actions of a plan by address, those left out that do nothing."""
    return {
        change["address"]: change["change"]["actions"]
        for change in plan["resource_changes"]
        if change["change"]["actions"] not in (["no-op"], ["read"])
    }


def owner(address: str) -> str | None:
    """The customer that an address belongs to; None for what all share."""
    head, _, rest = address.partition('module.customer["')
    return rest.partition('"]')[0] if rest and not head else None
