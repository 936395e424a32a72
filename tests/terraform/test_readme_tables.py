"""The tables of inputs and outputs in the READMEs are made from the configuration, and current."""

import shutil
import subprocess
import sys

from workspace import REPOSITORY

TABLES = ["bin/tables", "--check"]


def check(folder):
    return subprocess.run([sys.executable, *TABLES], cwd=folder, capture_output=True, text=True)


def copy(tmp_path):
    return shutil.copytree(REPOSITORY / "terraform", tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*"))


def test_the_tables_are_current():
    done = check(REPOSITORY / "terraform")
    assert done.returncode == 0, done.stderr


def test_a_new_input_makes_them_stale(tmp_path):
    folder = copy(tmp_path)
    with open(folder / "variables.tf", "a") as file:
        file.write('\nvariable "colour" {\n  description = "Which colour."\n  type        = string\n}\n')
    done = check(folder)
    assert done.returncode == 1 and "README.md; run `make terraform-docs`" in done.stderr
    subprocess.run([sys.executable, "bin/tables"], cwd=folder, check=True)
    assert "| `colour` | `string` | needed | Which colour. |" in (folder / "README.md").read_text()
    assert check(folder).returncode == 0


def test_an_output_without_a_description_is_refused(tmp_path):
    folder = copy(tmp_path)
    with open(folder / "outputs.tf", "a") as file:
        file.write('\noutput "colour" {\n  value = "red"\n}\n')
    assert "no description" in check(folder).stderr
