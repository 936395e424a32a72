"""The README's commands, as written: a stranger types them, and they do what it says."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 900  # seconds: the first command builds the release binary


def commands():
    """What follows a `$` in the README's console blocks."""
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def server():
    run, *_ = commands()
    process = subprocess.Popen(
        run, shell=True, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + PATIENCE
    while not healthy():
        assert process.poll() is None, f"{run} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{run} serves nothing"
        time.sleep(0.2)
    yield process
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)


def programs(language):
    """The README's blocks in that language."""
    readme = (ROOT / "README.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)


def interpreter(language):
    """What runs a program that it reads from its standard input."""
    if language == "python":
        return [sys.executable, "-"]
    node = shutil.which("node")
    if node is None and os.environ.get("CI") == "true":
        pytest.fail("node is not installed; under CI=true nothing may be skipped", pytrace=False)
    if node is None:
        pytest.skip("NOT CHECKED: node is not installed")
    return [node, "--input-type=module", "-"]


def healthy():
    try:
        with urllib.request.urlopen("http://localhost:4545/api/health", timeout=5) as answer:
            return json.load(answer) == {"status": "ok"}
    except OSError:
        return False


def test_the_readme_begins_with_the_two_commands():
    assert commands()[:2] == ["make run", "make upload-file"]


def test_the_second_command_uploads_a_file_and_prints_the_answer(server):
    done = subprocess.run(commands()[1], shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["size"] == 1048576
    assert answer["uri"] == f"gs://demo-bucket/{answer['name']}"


@pytest.mark.parametrize("command", commands()[2:])
def test_every_other_command_succeeds(server, command):
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("language", ["python", "js"])
def test_three_lines_of_a_program_upload_a_file(server, language):
    (program,) = programs(language)
    assert len(program.splitlines()) == 3
    done = subprocess.run(
        interpreter(language), input=program, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0 and done.stdout.startswith("gs://demo-bucket/"), done


@pytest.mark.parametrize("language", ["python", "js"])
def test_what_fails_is_told_by_the_same_lines(server, language):
    (program,) = programs(language)
    done = subprocess.run(
        interpreter(language),
        input=program.replace("size=64KiB", "size=64KiBs"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "invalid size" in done.stdout and ": use bytes" in done.stdout, done


def test_make_upload_file_takes_a_size(server):
    done = subprocess.run(
        ["make", "upload-file", "SIZE=64KiB"], cwd=ROOT, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["size"] == 65536


def test_the_commands_to_try_that_the_server_prints_do_work(server):
    tried = 0
    for line in server.stdout:
        if not line.strip().startswith("curl "):
            continue
        done = subprocess.run(line, shell=True, capture_output=True, text=True)
        assert done.returncode == 0 and json.loads(done.stdout), done
        tried += 1
        if tried == 2:
            return
    pytest.fail("the server names two commands")


def test_make_help_lists_every_target_that_a_person_may_want():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    for target in ["run", "upload-file", "test", "lint", "help", "health"]:
        assert re.search(rf"^  {target} ", listed, re.MULTILINE), target
