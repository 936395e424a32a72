"""What the workflows promise: the least they need, pinned to what was looked at, nothing from
outside in a script, and nothing that a person could not do with make."""

import re

import pytest

from conftest import ACTIONS, JOBS, REPOSITORY, STEPS, WORKFLOWS, run

USES = sorted({step["uses"] for _, step in STEPS if "uses" in step and not step["uses"].startswith("./")})
RUNS = [(where, step["run"]) for where, step in STEPS if "run" in step]
# What a run may do besides make: carry a result from step to step, or say something.
AROUND_MAKE = {
    "echo 'Not copied to Docker Hub - the environment docker-hub has no DOCKERHUB_USERNAME and DOCKERHUB_TOKEN.' >>\"$GITHUB_STEP_SUMMARY\"",
    "jq --exit-status 'all(. == \"success\")' <<<\"$RESULTS\"",
}


def targets() -> set[str]:
    """Every target that the Makefile and what it includes define."""
    pages = [REPOSITORY / "Makefile", *REPOSITORY.glob("*.mk")]
    return {name for page in pages for name in re.findall(r"^([a-z][a-z0-9-]*):", page.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_nothing_is_allowed_but_what_a_job_asks_for(workflow):
    assert WORKFLOWS[workflow]["permissions"] == {}
    for name, job in WORKFLOWS[workflow]["jobs"].items():
        assert "permissions" in job, f"{name} takes what there is"
        assert isinstance(job["permissions"], dict)


def test_only_these_jobs_may_write_and_only_there():
    writing = {
        f"{workflow}:{name}": {scope for scope, level in job["permissions"].items() if level == "write"} for workflow, name, job in JOBS
    }
    assert {where: scopes for where, scopes in writing.items() if scopes} == {
        "release-image.yml:build": {"packages"},
        "release-image.yml:publish": {"packages", "id-token", "attestations"},
        "release-image.yml:docker-hub": {"id-token"},
        "release-image.yml:artifact-registry": {"id-token"},
        "release-image.yml:release": {"contents"},
        "raise-image.yml:pull-request": {"contents", "pull-requests"},
    }


def test_what_runs_for_a_pull_request_may_only_read():
    for workflow, read in WORKFLOWS.items():
        if "pull_request" in read["on"]:
            for name, job in read["jobs"].items():
                assert set(job["permissions"].values()) <= {"read"}, f"{workflow}:{name}"
                assert "secrets" not in str(job), f"{workflow}:{name}"


def test_no_workflow_runs_with_the_repositorys_rights_on_a_strangers_code():
    for workflow, read in WORKFLOWS.items():
        assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(read["on"]), workflow


def test_secrets_are_those_of_docker_hub_alone():
    used = {name for path in (REPOSITORY / ".github").rglob("*.yml") for name in re.findall(r"secrets\.(\w+)", path.read_text())}
    assert used == {"DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN"}


@pytest.mark.parametrize("uses", USES)
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it_as_the_table_has_it(uses):
    action, _, commit = uses.partition("@")
    assert re.fullmatch(r"[0-9a-f]{40}", commit)
    versions = {
        version
        for path in (REPOSITORY / ".github").rglob("*.yml")
        for version in re.findall(rf"uses: {re.escape(uses)}(?: # (v[\d.]+))?$", path.read_text(), re.MULTILINE)
    }
    (version,) = versions
    table = (REPOSITORY / "docs" / "ci.md").read_text()
    assert f"| {action} | {version} | `{commit}` |" in table


def test_the_table_of_actions_has_none_that_is_not_used():
    table = (REPOSITORY / "docs" / "ci.md").read_text()
    listed = re.findall(r"^\| (\S+) \| v[\d.]+ \| `([0-9a-f]{40})` \|", table, re.MULTILINE)
    assert sorted(f"{action}@{commit}" for action, commit in listed) == USES


@pytest.mark.parametrize(("where", "script"), RUNS, ids=[f"{where}:{number}" for number, (where, _) in enumerate(RUNS)])
def test_no_expression_is_pasted_into_a_script(where, script):
    assert "${{" not in script


def test_every_run_is_a_target_of_make():
    known = targets()
    for where, script in RUNS:
        if script in AROUND_MAKE or 'make "$PART"' in script:
            continue
        called = re.findall(r"\bmake ((?:[a-z][a-z0-9-]*(?: |$|\)))+)", script, re.MULTILINE)
        named = {name for group in called for name in group.rstrip(")").split()}
        assert named, f"{where} does what make cannot: {script}"
        assert named <= known, f"{where}: no such target: {named - known}"


def test_ci_runs_every_part_of_make_test():
    printed = run("make", "test-parts")
    assert printed.returncode == 0, printed.stderr
    (prerequisites,) = re.findall(r"^test: (.*?)(?: ##.*)?$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert printed.stdout.strip() == "[" + ",".join(f'"{part}"' for part in prerequisites.split()) + "]"
    test = WORKFLOWS["ci.yml"]["jobs"]["test"]
    assert test["strategy"]["matrix"]["part"] == "${{ fromJSON(needs.parts.outputs.parts) }}"
    assert test["strategy"]["matrix"]["rust"] == ["stable", "minimum"]


def test_ci_skips_only_tests_that_need_registry_stubs():
    (part,) = [step for step in WORKFLOWS["ci.yml"]["jobs"]["test"]["steps"] if "PART" in step.get("env", {})]
    assert "CI" not in part["env"], "GitHub sets it to true, and nothing may set it back"
    assert part["env"]["REGISTRY_STUBS"] == "none"
    assert part["env"]["CHROMIUM"] == "/usr/bin/google-chrome"
    assert {"image", "terraform"} <= set(WORKFLOWS["ci.yml"]["jobs"])


def test_terraform_is_tested_with_every_major_of_the_google_provider_that_it_allows():
    versions = (REPOSITORY / "terraform" / "versions.tf").read_text()
    ((least, most),) = re.findall(r'"hashicorp/google"\n\s+version = ">= (\d+)\.\d+\.\d+, < (\d+)\.0\.0"', versions)
    tested = WORKFLOWS["ci.yml"]["jobs"]["terraform"]["strategy"]["matrix"]["google"]
    assert [re.fullmatch(r"~> (\d+)\.\d+", version)[1] for version in tested] == [str(major) for major in range(int(least), int(most))]


def test_ci_passes_only_when_every_job_passed():
    jobs = WORKFLOWS["ci.yml"]["jobs"]
    assert set(jobs["passed"]["needs"]) == set(jobs) - {"passed"}
    assert jobs["passed"]["if"] == "always()"


def test_ci_runs_for_pull_requests_the_merge_queue_weekly_and_before_every_image():
    assert set(WORKFLOWS["ci.yml"]["on"]) == {"workflow_call", "pull_request", "merge_group", "schedule"}
    release = WORKFLOWS["release-image.yml"]
    assert release["on"] == {"push": {"branches": ["**", "!gh-readonly-queue/**"], "tags": ["v*"]}}
    assert release["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert "needs.ci.result == 'success'" in release["jobs"]["publish"]["if"]


def test_a_cancelled_run_publishes_nothing():
    for name, job in WORKFLOWS["release-image.yml"]["jobs"].items():
        assert "always()" not in job.get("if", ""), name


def test_an_image_is_scanned_before_it_is_named_and_signed_and_verified_before_it_is_named_for_people():
    jobs = WORKFLOWS["release-image.yml"]["jobs"]
    names = {job: [step.get("run") or step.get("name") or step["uses"] for step in jobs[job]["steps"]] for job in ("build", "publish")}
    assert "build" in jobs["publish"]["needs"]
    assert names["build"].index("make image-push") < names["build"].index("make image-sbom") < names["build"].index("make image-scan")
    steps = ["make image-index", "make image-sign", "make image-verify", "make image-tag"]
    assert [name for name in names["publish"] if name in steps] == steps


def test_google_is_asked_for_a_push_from_the_refs_that_it_takes_one_from_and_no_others():
    variables = (REPOSITORY / "terraform" / "variables.tf").read_text()
    (taken,) = re.findall(r"pushing_refs\s+= optional\(list\(string\), \[(.*)\]\)", variables)
    asked = WORKFLOWS["release-image.yml"]["jobs"]["artifact-registry"]["if"]
    exact = re.findall(r"github\.ref == '([^']+)'", asked)
    begins = re.findall(r"startsWith\(github\.ref, '([^']+)'\)", asked)
    assert re.findall(r'"([^"]+)"', taken) == exact + [f"{beginning}*" for beginning in begins]


def test_every_job_ends_in_time():
    for workflow, name, job in JOBS:
        assert "uses" in job or job["timeout-minutes"] <= 45, f"{workflow}:{name}"


def test_every_checkout_leaves_no_token_behind():
    for where, step in STEPS:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def test_the_scan_by_hand_is_the_scan_of_the_workflow():
    by_hand = (REPOSITORY / ".github" / "trivy.yaml").read_text()
    (scan,) = [step["with"] for where, step in STEPS if "trivy-action" in step.get("uses", "")]
    assert scan["trivy-config"] == ".github/trivy.yaml"
    assert scan["severity"].split(",") == re.findall(r"^  - ([A-Z]+)$", by_hand, re.MULTILINE) == ["HIGH", "CRITICAL"]
    assert scan["scanners"].split(",") == re.findall(r"^    - (\w+)$", by_hand, re.MULTILINE)
    assert scan["ignore-unfixed"] is True and "ignore-unfixed: true" in by_hand
    assert scan["exit-code"] == "1" and "exit-code: 1" in by_hand


def test_the_setup_action_needs_no_rights():
    assert set(ACTIONS) == {"setup"}
    assert "token" not in str(ACTIONS["setup"])
