"""A copy of the repository's Terraform and kustomize folders in which terraform can run.

Terraform never runs in the repository itself, so that no state, provider or generated file is left
there. The copy has its own state. It leaves out the repository's overlays of customers: every
overlay found in it was generated.
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
    """Return the folder with stub providers, or None."""
    places = [os.environ.get("TERRAFORM_KIT"), REPOSITORY.parent / "shared" / "terraform-kit"]
    found = (Path(place).resolve() for place in places if place)
    return next((place for place in found if (place / "setup.sh").is_file()), None)


@dataclass(frozen=True)
class Cost:
    """The cost of a command: wall-clock seconds, CPU seconds, and the memory of its largest process."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


class Workspace:
    def __init__(self, folder: Path, cli_config: Path | None):
        """`cli_config` is the CLI configuration file that selects the providers; None: the user's own."""
        self._at(folder)
        for name in ("terraform", "kustomize", "k8s"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=LEFT_OUT)
        shutil.rmtree(self.overlays)
        # The user's own Terraform settings must not affect the tests.
        kept = {"TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"} if cli_config is None else set()
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_")) or key in kept}
        self.environment |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_ARGS": "-no-color"}
        if cli_config is None:
            # Fail at once where no registry is reached, not after a minute.
            self.environment |= {"TF_REGISTRY_DISCOVERY_RETRY": "0", "TF_REGISTRY_CLIENT_TIMEOUT": "10"}
        else:
            self.environment["TF_CLI_CONFIG_FILE"] = str(cli_config)

    def _at(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "terraform"
        self.overlays = folder / "kustomize" / "overlays"

    def copy(self, folder: Path) -> "Workspace":
        """Return a copy with the same state and files, so that a test can start from an applied state."""
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
        """Run terraform in the root, which must succeed, and return its output."""
        done = self.run("terraform", *arguments)
        assert done.returncode == 0, f"terraform {' '.join(arguments)}:\n{done.stdout}"
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """Run terraform in the root, which must fail, and return its output on one line."""
        done = self.run("terraform", *arguments)
        assert done.returncode == 1, f"terraform {' '.join(arguments)} did not fail:\n{done.stdout}"
        words = done.stdout.replace("│", " ").replace("╷", " ").replace("╵", " ")
        return " ".join(words.split())

    def measured(self, *arguments: str) -> Cost:
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self.terraform(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        # The largest child process so far. Terraform is larger than anything else that the tests start.
        return Cost(time.monotonic() - begin, cpu, after.ru_maxrss / 1024)

    def customers(self, customers: dict, **settings) -> None:
        """Write the map of customers, and other variables of the root."""
        variables = {"project_id": "example-project", "customers": customers} | settings
        (self.root / "customers.auto.tfvars.json").write_text(json.dumps(variables, indent=1))

    def example(self) -> None:
        """Install the example's three customers, as its first lines describe."""
        shutil.copy(self.root / "customers.auto.tfvars.example", self.root / "customers.auto.tfvars")

    def plan(self, *arguments: str) -> dict:
        self.terraform("plan", "-input=false", "-out=test.tfplan", *arguments)
        return json.loads(self.terraform("show", "-json", "test.tfplan"))

    def apply(self) -> None:
        self.terraform("apply", "-input=false", "-auto-approve")


def changes(plan: dict) -> dict[str, list[str]]:
    """Return the actions of a plan by address, without those that change nothing."""
    return {
        change["address"]: change["change"]["actions"]
        for change in plan["resource_changes"]
        if change["change"]["actions"] not in (["no-op"], ["read"])
    }


def owner(address: str) -> str | None:
    """Return the customer that an address belongs to; None for shared resources."""
    head, _, rest = address.partition('module.customer["')
    return rest.partition('"]')[0] if rest and not head else None
