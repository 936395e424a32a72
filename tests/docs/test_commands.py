"""Commands in the documentation: those that can be run are run, the others say what they need.

A `console` block has what a person types behind `$`, and is run here; a `sh` block is not, and says
in its first line what it needs. The README's own are in tests/readme.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
from pages import PAGES, ROOT

BLOCKS = [block for page in PAGES.values() for block in page.blocks]

# What is shown, and not typed; `python` and `js` are run here and in tests/readme.
SHOWN = {"hcl", "json", "text", "yaml"}
PROGRAMS = {"python", "js"}


def lines(block):
    """The block's lines, each with those that it goes on in."""
    return re.sub(r"\\\n", "\0", block.text).rstrip("\n").split("\n")


def commands(block):
    """Each command of a console block."""
    typed = [line[2:] for line in lines(block) if line.startswith("$ ")]
    return [line.replace("\0", "\\\n") for line in typed]


RUN_HERE = [
    (block, command)
    for block in BLOCKS
    if block.language == "console" and block.page != "README.md"
    for command in commands(block)
]


def test_every_block_says_what_it_is():
    known = SHOWN | PROGRAMS | {"console", "sh"}
    assert [f"{block}: {block.language!r}" for block in BLOCKS if block.language not in known] == []
    indented = {name: page.indented_blocks for name, page in PAGES.items() if page.indented_blocks}
    assert indented == {}, "blocks without a fence, by their first lines"


def test_a_block_that_is_not_run_says_what_it_needs():
    silent = [
        str(block)
        for block in BLOCKS
        if block.language == "sh" and not re.match(r"# needs \w", block.text)
    ]
    assert silent == []


def test_a_console_block_has_commands_and_nothing_that_would_not_be_run():
    for block in BLOCKS:
        if block.language == "console":
            assert len(commands(block)) == len(lines(block)), block


def test_there_are_commands_to_run():
    assert len(RUN_HERE) > 10


@pytest.mark.parametrize(
    ("block", "command"), RUN_HERE, ids=[f"{block}-{command[:40]}" for block, command in RUN_HERE]
)
def test_a_command_does_what_it_says(block, command, server, binary):
    """With the binary under test, and at the port that was free."""
    command = command.replace("localhost:4545", server)
    command = command.replace("target/debug/gcs-uploader", str(binary))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=ROOT,
        env=os.environ | {"HOST": f"http://{server}", "MAKEFLAGS": f"HOST=http://{server}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and done.stdout, done


PROGRAM_BLOCKS = [
    block for block in BLOCKS if block.language in PROGRAMS and block.page != "README.md"
]


@pytest.mark.parametrize("block", PROGRAM_BLOCKS, ids=str)
def test_a_program_prints_where_its_object_is(block, server):
    text = block.text.replace("localhost:4545", server)
    runners = {
        "python": [sys.executable, "-"],
        "js": [shutil.which("node"), "--input-type=module", "-"],
    }
    command = runners[block.language]
    if command[0] is None:
        assert os.environ.get("CI") != "true", "node is needed, and is not installed"
        pytest.skip("NOT CHECKED: node is not installed")
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "gs://demo-bucket/" in done.stdout, done


def test_every_target_that_is_named_is_one_of_the_makefiles():
    makefiles = [ROOT / "Makefile", *ROOT.glob("*.mk")]
    targets = {
        target
        for makefile in makefiles
        for target in re.findall(r"^([a-z][\w-]*):", makefile.read_text(), re.MULTILINE)
    }
    for name, page in PAGES.items():
        said = re.findall(r"`make ([a-z][\w-]*)", page.prose)
        said += [
            target
            for block in page.blocks
            if block.language in {"sh", "console"}
            for target in re.findall(r"^(?:\$ )?make ([a-z][\w-]*)", block.text, re.MULTILINE)
        ]
        assert [target for target in said if target not in targets] == [], name


def test_every_command_that_is_named_is_one_of_the_binarys(binary):
    help_text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z]+) ", help_text, re.MULTILINE))
    for name, page in PAGES.items():
        said = re.findall(r"`gcs-uploader ([a-z]+)\b", page.prose)
        assert [command for command in said if command not in known] == [], name
