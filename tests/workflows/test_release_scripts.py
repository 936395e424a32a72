"""What the release scripts decide: tags, notes, what is one version, what an SBOM has to name, and
that an image is only ever named by the digest that was signed."""

import json
import re
import shutil
import subprocess
import tomllib

import pytest

from conftest import REPOSITORY, SCRIPTS, environment, run, tool

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA_TAG = "sha-0123456789ab"
DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
VERSION = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["package"]["version"]


@pytest.fixture
def repository(tmp_path):
    """A repository of its own with these scripts, to tag and to change."""
    shutil.copytree(SCRIPTS, tmp_path / ".github" / "scripts")
    for name in ("Cargo.toml", "Cargo.lock", "CHANGELOG.md", "LICENSE", "README.md"):
        shutil.copy(REPOSITORY / name, tmp_path)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")
    assert run(*git, "init", "--quiet", "--initial-branch=main", cwd=tmp_path).returncode == 0
    assert run(*git, "commit", "--quiet", "--allow-empty", "--message", "first", cwd=tmp_path).returncode == 0
    return tmp_path


def tags(repository, ref, *arguments, existing=(), **settings):
    for tag in existing:
        assert run("git", "tag", tag, cwd=repository).returncode == 0
    done = run(".github/scripts/image-tags", *arguments, cwd=repository, REF=ref, COMMIT=COMMIT, **settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_branch_is_tagged_by_its_commit_alone(repository):
    assert tags(repository, "refs/heads/feature") == [SHA_TAG]


def test_main_is_also_edge(repository):
    assert tags(repository, "refs/heads/main") == [SHA_TAG, "edge"]
    assert tags(repository, "refs/heads/main", TIP=COMMIT) == [SHA_TAG, "edge"]


def test_a_slow_run_does_not_set_edge_back(repository):
    assert tags(repository, "refs/heads/main", TIP="f" * 40) == [SHA_TAG]


@pytest.mark.parametrize(
    ("tag", "existing", "named"),
    [
        ("v1.2.3", [], ["1.2.3", "1.2", "1", "latest"]),
        ("v1.2.3", ["v1.2.2", "v1.10.0"], ["1.2.3", "1.2"]),
        ("v1.10.0", ["v1.9.9", "v1.2.3"], ["1.10.0", "1.10", "1", "latest"]),
        ("v1.2.3", ["v1.2.3", "v1.2.4"], ["1.2.3"]),
        ("v1.2.4", ["v1.2.3", "v2.0.0"], ["1.2.4", "1.2", "1"]),
        ("v1.2.3", ["v2.0.0-rc.1"], ["1.2.3", "1.2", "1", "latest"]),
        ("v0.1.0", [], ["0.1.0", "0.1", "latest"]),
        ("v2.0.0-rc.1", ["v1.2.3"], ["2.0.0-rc.1"]),
    ],
)
def test_a_version_moves_the_tags_that_it_is_the_highest_for(repository, tag, existing, named):
    assert tags(repository, f"refs/tags/{tag}", existing=existing) == [SHA_TAG, *named]


def test_a_registry_with_immutable_tags_gets_none_that_moves(repository):
    assert tags(repository, "refs/tags/v1.2.3", "fixed") == [SHA_TAG, "1.2.3"]
    assert tags(repository, "refs/heads/main", "fixed") == [SHA_TAG]


@pytest.mark.parametrize("tag", ["v1.2", "v01.2.3", "v1.2.3+build", "v1.2.3 4", "vnext"])
def test_a_tag_that_is_no_version_is_refused(repository, tag):
    done = run(".github/scripts/image-tags", cwd=repository, REF=f"refs/tags/{tag}", COMMIT=COMMIT)
    assert done.returncode == 2
    assert "is not a semantic version" in done.stderr


@pytest.mark.parametrize("branch", ["a$(touch${IFS}pwned)", "a`touch${IFS}pwned`", "a;touch${IFS}pwned", "$(shell touch pwned)", "latest"])
def test_the_name_of_a_branch_is_never_executed_nor_a_tag(repository, branch):
    (repository / "Makefile").write_text(f"SHELL := /bin/bash\ninclude {REPOSITORY}/ci.mk\n")
    done = run("make", "image-tags", cwd=repository, GITHUB_REF=f"refs/heads/{branch}", GITHUB_SHA=COMMIT)
    assert (done.returncode, done.stdout.split()) == (0, [SHA_TAG])
    assert not (repository / "pwned").exists()


def test_the_version_is_cargos():
    assert run(".github/scripts/version").stdout.strip() == VERSION
    assert run(".github/scripts/version", f"v{VERSION}").returncode == 0


def test_another_tag_than_the_version_is_refused():
    done = run(".github/scripts/version", "v99.0.0")
    assert done.returncode == 1
    assert f"is not v{VERSION}" in done.stderr


def test_the_version_is_written_in_one_place():
    tracked = run("git", "ls-files", "-z").stdout.split("\0")
    # What was released, and what runs: history and state, not the version of this work tree.
    told_elsewhere = re.compile(r"Cargo\.(toml|lock)|CHANGELOG\.md|.*/golden/.*|kustomize/components/release/.*|tests/.*|terraform/.*|docs/.*")
    pattern = re.compile(rf"(?<![\d.]){re.escape(VERSION)}(?![\d.])")
    for name in tracked:
        path = REPOSITORY / name
        if name and path.is_file() and not told_elsewhere.fullmatch(name):
            found = pattern.search(path.read_text(errors="replace"))
            assert not found, f"{name} repeats the version of Cargo.toml"
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())
    assert [entry["version"] for entry in lock["package"] if entry["name"] == "gcs-uploader"] == [VERSION]


CHANGES = "# Changelog\n\nWords.\n\n## Unreleased\n\n- Later.\n\n## 1.2.3 (2026-01-02)\n\n- One.\n- Two.\n\n## 1.2.2\n\n- Before.\n"


def test_the_notes_of_a_release_are_the_changelogs(repository):
    (repository / "CHANGELOG.md").write_text(CHANGES)
    assert run(".github/scripts/release-notes", "1.2.3", cwd=repository).stdout.strip() == "- One.\n- Two."
    assert run(".github/scripts/release-notes", "1.2.2", cwd=repository).stdout.strip() == "- Before."


def test_a_release_without_notes_is_refused(repository):
    (repository / "CHANGELOG.md").write_text(CHANGES)
    done = run(".github/scripts/release-notes", "1.2", cwd=repository)
    assert done.returncode == 1
    assert 'nothing below a heading "## 1.2"' in done.stderr


RELEASE = """apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component

images:
  - name: gcs-uploader
    newName: gcs-uploader
    newTag: 0.1.0

labels:
  - includeTemplates: true
    pairs:
      app.kubernetes.io/version: 0.1.0
"""


def raised(repository, image, page=RELEASE):
    release = repository / "release.yaml"
    release.write_text(page)
    return run(".github/scripts/raise-image", image, cwd=repository, RELEASE_PAGE=str(release)), release


def test_raising_the_image_pins_its_digest(repository):
    done, release = raised(repository, f"ghcr.io/owner/gcs-uploader:1.2.3@{DIGEST}")
    assert done.returncode == 0, done.stderr
    wanted = RELEASE.replace("newName: gcs-uploader", "newName: ghcr.io/owner/gcs-uploader")
    wanted = wanted.replace("newTag: 0.1.0", f"newTag: 1.2.3\n    digest: {DIGEST}").replace("version: 0.1.0", "version: 1.2.3")
    assert release.read_text() == wanted
    again, _ = raised(repository, f"ghcr.io/owner/gcs-uploader:1.2.4@{OTHER_DIGEST}", wanted)
    assert again.returncode == 0
    assert release.read_text() == wanted.replace("1.2.3", "1.2.4").replace(DIGEST, OTHER_DIGEST)


@pytest.mark.parametrize(
    "image",
    ["", "gcs-uploader", "ghcr.io/owner/gcs-uploader:1.2.3", f"ghcr.io/owner/gcs-uploader@{DIGEST}", f"ghcr.io/o/g:1.2.3@{DIGEST}\n", f"ghcr.io/o/g:1|e@{DIGEST}", f"ghcr.io/o/g:1.2.3@{DIGEST[:-1]}"],
)  # fmt: skip
def test_an_image_without_a_digest_is_not_raised(repository, image):
    done, release = raised(repository, image)
    assert done.returncode == 2
    assert release.read_text() == RELEASE


def test_raising_fails_where_there_is_nothing_to_raise(repository):
    done, _ = raised(repository, f"ghcr.io/o/g:1.2.3@{DIGEST}", "kind: Component\n")
    assert done.returncode == 1


RAISED = f"ghcr.io/owner/gcs-uploader:1.2.3@{DIGEST}"


@pytest.fixture
def overlays(repository):
    """A repository with the overlays, to raise the image in."""
    for name in ("k8s", "kustomize"):
        shutil.copytree(REPOSITORY / name, repository / name)
    return repository


def images(rendered):
    return set(re.findall(r"^ +(?:- )?image: (\S*gcs-uploader\S*)$", rendered, re.MULTILINE))


def test_a_raised_image_is_what_an_overlay_renders(overlays):
    assert run(".github/scripts/raise-image", RAISED, cwd=overlays).returncode == 0
    rendered = run(tool("kubectl"), "kustomize", str(overlays / "kustomize" / "overlays" / "customer-a"))
    assert rendered.returncode == 0, rendered.stderr
    assert images(rendered.stdout) == {RAISED}


@pytest.mark.parametrize("released", [None, RAISED])
def test_a_cluster_runs_the_image_under_test_whatever_was_released(overlays, tmp_path, released):
    if released:
        assert run(".github/scripts/raise-image", released, cwd=overlays).returncode == 0
    programs = tmp_path / "programs"
    programs.mkdir()
    # As far as these scripts look before they touch a cluster.
    for name, text in (("minikube", "exit 0"), ("kubectl", f'[ "$1" != config ] || {{ echo gcs-uploader; exit; }}\nexec {tool("kubectl")} "$@"')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    wanted = environment()
    wanted["PATH"] = f"{programs}:{wanted['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail; . ./common; rendered customer-b"],
        cwd=overlays / ".github" / "scripts" / "cluster", env=wanted, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert images(done.stdout) == {"gcs-uploader:under-test"}


def test_no_other_cluster_than_the_one_for_this_is_touched(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("minikube", "kubectl"):
        (programs / name).write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\necho production\n')
        (programs / name).chmod(0o755)
    wanted = environment()
    wanted["PATH"] = f"{programs}:{wanted['PATH']}"
    for script in ("deploy", "upload", "roll-out", "customers", "isolation"):
        done = subprocess.run([SCRIPTS / "cluster" / script], env=wanted, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert "other clusters are never used" in done.stderr
    assert set((tmp_path / "asked").read_text().splitlines()) == {"config current-context"}


def spdx(*packages):
    return {"SPDX": {"spdxVersion": "SPDX-2.3", "packages": [{"name": name, "versionInfo": version} for name, version in packages]}}


def locked():
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())
    return [(entry["name"], entry["version"]) for entry in lock["package"]]


def sbom(tmp_path, document):
    path = tmp_path / "sbom.json"
    path.write_text(json.dumps(document))
    return run(".github/scripts/sbom-names-crates", str(path))


def test_an_sbom_with_the_crates_is_good(tmp_path):
    assert sbom(tmp_path, spdx(*locked())).returncode == 0
    assert sbom(tmp_path, spdx(*locked())["SPDX"]).returncode == 0


def test_an_sbom_that_names_no_crate_is_refused(tmp_path):
    done = sbom(tmp_path, spdx(("ca-certificates", "1")))
    assert done.returncode == 1
    assert "tiny_http" in done.stderr


def test_an_sbom_with_another_version_of_a_crate_is_refused(tmp_path):
    other = [(name, "0.0.1" if name == "ureq" else version) for name, version in locked()]
    done = sbom(tmp_path, spdx(*other))
    assert (done.returncode, "and not ureq\n" in done.stderr) == (1, True)


# A registry of one file, as far as `docker buildx imagetools` shows it, and a log of what was asked.
REGISTRY = """#!/usr/bin/env bash
echo "docker $*" >>"$LOG"
case "$1 $2 $3" in
    'buildx build '*)
        while [ $# -gt 0 ]; do
            if [ "$1" = --metadata-file ]; then printf '{"containerimage.digest": "%s"}' "$PUSHED" >"$2"; fi
            shift
        done ;;
    'buildx imagetools inspect') printf '{"digest": "%s"}' "$STORED" ;;
esac
"""


@pytest.fixture
def registry(repository, tmp_path):
    """Run a step of `image` with stubs of docker and cosign, and return their arguments."""
    programs = tmp_path / "programs"
    programs.mkdir()
    asked = '#!/bin/sh\necho "{0} $*" >>"$LOG"\n'
    for name, text in (("docker", REGISTRY), ("cosign", asked.format("cosign")), ("gh", '#!/bin/sh\necho "$MAIN"\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    log = tmp_path / "log"

    def step(*arguments, **settings):
        log.write_text("")
        defaults = {"GITHUB_REPOSITORY": "Owner/GCS-Uploader", "REF": "refs/heads/main", "COMMIT": COMMIT, "PUSHED": DIGEST, "STORED": DIGEST, "MAIN": COMMIT}
        wanted = environment(**defaults | settings | {"LOG": str(log)})
        wanted["PATH"] = f"{programs}:{wanted['PATH']}"
        done = subprocess.run([".github/scripts/image", *arguments], cwd=repository, env=wanted, capture_output=True, text=True, timeout=60)
        return done, log.read_text()

    return step


def test_a_platform_is_pushed_without_a_name_with_sbom_and_provenance(registry, repository):
    done, asked = registry("push", PLATFORM="linux/arm64")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"ghcr.io/owner/gcs-uploader@{DIGEST}"
    for option in ("--platform linux/arm64", "--sbom=true", "--provenance=mode=max,version=v1", "push-by-digest=true", f"VERSION={VERSION}", f"REVISION={COMMIT}"):  # fmt: skip
        assert option in asked
    assert "--tag" not in asked
    assert (repository / "target" / "image" / "arm64.digest").read_text().strip() == DIGEST


@pytest.mark.parametrize("step", ["pushed", "binary", "sbom", "index", "sign", "tag", "copy", "where"])
def test_a_step_without_the_one_before_it_does_nothing(registry, step):
    done, asked = registry(step, "docker.io/owner/gcs-uploader", PLATFORM="linux/amd64")
    assert done.returncode != 0
    assert "an earlier step writes it" in done.stderr
    assert asked == ""


def test_a_push_that_tells_no_digest_is_refused(registry):
    done, _ = registry("push", PUSHED="latest")
    assert done.returncode == 2
    assert "holds no digest" in done.stderr


@pytest.fixture
def pushed(registry):
    for platform in ("linux/amd64", "linux/arm64"):
        assert registry("push", PLATFORM=platform)[0].returncode == 0
    return registry


def test_the_index_is_signed_by_digest(pushed):
    done, asked = pushed("index", STORED=OTHER_DIGEST)
    assert done.returncode == 0, done.stderr
    assert f"--tag ghcr.io/owner/gcs-uploader:{SHA_TAG} " in asked
    done, asked = pushed("sign")
    assert asked == f"cosign sign --yes --recursive ghcr.io/owner/gcs-uploader@{OTHER_DIGEST}\n"
    done, _ = pushed("where")
    assert done.stdout == f"repository=ghcr.io/owner/gcs-uploader\ndigest={OTHER_DIGEST}\n"


def test_every_name_is_given_to_the_digest_that_was_signed(pushed):
    assert pushed("index")[0].returncode == 0
    done, asked = pushed("tag")
    assert done.returncode == 0, done.stderr
    assert f"--tag ghcr.io/owner/gcs-uploader:edge ghcr.io/owner/gcs-uploader@{DIGEST}" in asked
    done, _ = pushed("summary")
    assert f"- `ghcr.io/owner/gcs-uploader:edge@{DIGEST}`\n" in done.stdout
    assert f"make image-verify PUBLISHED=ghcr.io/owner/gcs-uploader@{DIGEST}\n" in done.stdout


def test_edge_is_left_to_a_later_commit_of_main(pushed):
    assert pushed("index")[0].returncode == 0
    done, asked = pushed("tag", MAIN="f" * 40)
    assert done.returncode == 0, done.stderr
    assert ":edge" not in asked and SHA_TAG in asked
    assert "edge" not in pushed("summary")[0].stdout


def test_a_name_that_ends_up_with_another_digest_is_an_error(pushed):
    assert pushed("index")[0].returncode == 0
    done, _ = pushed("tag", STORED=OTHER_DIGEST)
    assert done.returncode == 2
    assert f"is not {DIGEST}" in done.stderr


def test_a_copy_is_signed_where_it_is(pushed):
    assert pushed("index")[0].returncode == 0
    done, asked = pushed("copy", "docker.io/owner/gcs-uploader")
    assert done.returncode == 0, done.stderr
    assert asked.endswith(f"cosign sign --yes --recursive docker.io/owner/gcs-uploader@{DIGEST}\n")


def test_what_is_verified_must_have_a_digest_and_be_of_this_workflow(registry):
    done, asked = registry("verify", "ghcr.io/owner/gcs-uploader:latest")
    assert (done.returncode, asked) == (2, "")
    done, asked = registry("verify", f"ghcr.io/owner/gcs-uploader:1.2.3@{DIGEST}", GITHUB_REPOSITORY="")
    assert done.returncode == 0, done.stderr
    (identity,) = re.findall(r"--certificate-identity-regexp (\S+)", asked)
    workflow = "https://github.com/Owner/gcs-uploader/.github/workflows/release-image.yml@refs/tags/v1.2.3"
    assert re.match(identity, workflow)
    assert not re.match(identity, workflow.replace("Owner", "Mallory"))
    assert not re.match(identity, workflow.replace("release-image", "other"))
    # Under the name of a version, only what was built from that version's tag is good.
    for other in ("refs/tags/v1.2.30", "refs/tags/v1x2.3", "refs/heads/main", "refs/heads/v1.2.3"):
        assert not re.match(identity, workflow.replace("refs/tags/v1.2.3", other))


def test_without_a_version_an_image_of_any_branch_is_verified(registry):
    done, asked = registry("verify", f"ghcr.io/owner/gcs-uploader@{DIGEST}", GITHUB_REPOSITORY="")
    assert done.returncode == 0, done.stderr
    (identity,) = re.findall(r"--certificate-identity-regexp (\S+)", asked)
    assert re.match(identity, "https://github.com/owner/gcs-uploader/.github/workflows/release-image.yml@refs/heads/feature")


def test_the_files_of_a_release_hold_the_binaries_and_check(registry, repository):
    folder = repository / "target" / "image"
    folder.mkdir(parents=True)
    for architecture in ("amd64", "arm64"):
        (folder / f"gcs-uploader-{architecture}").write_text(architecture)
        (folder / f"gcs-uploader-{architecture}.spdx.json").write_text("{}")
    done, _ = registry("files")
    assert done.returncode == 0, done.stderr
    assert run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=folder).returncode == 0
    listed = run("tar", "tf", f"gcs-uploader-{VERSION}-linux-arm64.tar.gz", cwd=folder).stdout.split()
    assert f"gcs-uploader-{VERSION}-linux-arm64/gcs-uploader" in listed
