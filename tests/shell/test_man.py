"""The manual that `gcs-uploader man` writes, as people read it."""

import re
import subprocess

import pytest
from binary import gcs_uploader, program


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man") / "man1"
    done = gcs_uploader("man", str(folder), UPLOAD_SIZE="7MiB", GCS_BUCKET="not-to-be-seen")
    assert done.returncode == 0, done
    pages = {path.name: path for path in folder.iterdir()}
    assert sorted(done.stdout.splitlines()) == sorted(str(path) for path in pages.values())
    return pages


def rendered(page) -> str:
    """The page as text; any warning of the typesetter's is an error."""
    command = [program("groff"), "-man", "-ww", "-Tutf8", "-P-cbou", page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def test_there_is_a_page_for_every_command(pages):
    commands = re.findall(r"^  ([a-z]+) ", gcs_uploader("--help").stdout, re.MULTILINE)
    expected = {f"gcs-uploader-{command}.1" for command in commands if command != "help"}
    assert pages.keys() == expected | {"gcs-uploader.1", "gcs-uploader-token-new.1"}


def test_every_page_is_set_without_a_warning_and_ends_with_the_exit_status(pages):
    for name, page in pages.items():
        text = rendered(page)
        assert name.removesuffix(".1") in text
        section = text.split("EXIT STATUS")[1]
        assert re.findall(r"^ {7}(\d+)\b", section, re.MULTILINE) == ["0", "1", "2", "130"]


def test_a_page_has_every_flag_and_variable_of_the_help(pages):
    text = "".join(rendered(pages["gcs-uploader-serve.1"]).replace("‐\n", "").split())
    help_text = gcs_uploader("serve", "--help").stdout
    flags = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", help_text, re.MULTILINE))
    variables = set(re.findall(r"\[env:\s+([A-Z_]+)", help_text))
    assert len(flags) > 15 and len(variables) > 15
    assert [name for name in flags | variables if name not in text] == []


def test_the_pages_say_nothing_of_the_environment_they_were_made_in(pages):
    for page in pages.values():
        assert "not-to-be-seen" not in page.read_text() and "7MiB" not in page.read_text()


def test_man_shows_a_page(pages):
    done = subprocess.run(
        [program("man"), "--warnings", "--local-file", pages["gcs-uploader.1"]],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "gcs-uploader-serve(1)" in done.stdout


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    done = gcs_uploader("man", str(tmp_path / "file" / "man"))
    assert done.returncode == 1
    assert str(tmp_path / "file" / "man") in done.stderr
