"""No word that is known to be a slip, in what people read."""

import pathlib
import subprocess
import sys

from pages import PAGES, ROOT

CODESPELL = pathlib.Path(sys.executable).with_name("codespell")
# Right where they stand: misspelt on purpose, to be refused; a header (TE) and an operator (NotIn).
RIGHT = "siez,uplaod,te,notin"


def codespell(*paths):
    return subprocess.run(
        [CODESPELL, "--ignore-words-list", RIGHT, *paths], cwd=ROOT, capture_output=True, text=True
    )


def tracked(*places):
    """Ours alone: beside it lies what the tests have fetched."""
    command = ["git", "ls-files", "-z", "--", *places]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split("\0") if path]


def test_the_documentation_has_no_slip():
    done = codespell(*PAGES)
    assert done.returncode == 0, done.stdout


def test_what_the_binary_says_and_its_comments_have_no_slip():
    done = codespell(*tracked("src", "tests", "*Makefile", "*.mk"))
    assert done.returncode == 0, done.stdout


def test_a_slip_is_found(tmp_path):
    (tmp_path / "page.md").write_text("It was reci" "eved.\n")
    done = codespell(tmp_path / "page.md")
    assert done.returncode != 0 and "received" in done.stdout
