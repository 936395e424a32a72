"""What `gcs-uploader completions` prints, in the shells that it is for."""

import subprocess

import pytest
from binary import BINARY, gcs_uploader, shell

ASK = r"""
source <("$1" completions bash)
function=$(complete -p gcs-uploader | sed 's/.*-F \([^ ]*\).*/\1/')
shift
COMP_WORDS=(gcs-uploader "$@")
COMP_CWORD=$#
COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
"$function" gcs-uploader "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def offered(*words: str) -> set[str]:
    """What bash offers for the last of these words."""
    command = [shell("bash"), "--norc", "--noprofile", "-euo", "pipefail", "-c", ASK, "bash"]
    done = subprocess.run([*command, BINARY, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done
    return set(done.stdout.split())


def test_bash_completes_the_commands():
    assert {"serve", "upload", "check", "token", "completions", "man", "help"} <= offered("")
    assert offered("se") == {"serve"}


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["serve", "--upload-"], {"--upload-size", "--upload-timeout"}),
        (["completions", ""], {"bash", "zsh", "fish"}),
        (["token", "n"], {"new"}),
    ],
)
def test_bash_completes_flags_and_values(words, completed):
    assert completed <= offered(*words)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_each_shell_can_read_its_own(name, tmp_path):
    script = tmp_path / "completions"
    script.write_text(gcs_uploader("completions", name).stdout)
    done = subprocess.run([shell(name), "-n", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done


def test_fish_completes_the_commands(tmp_path):
    script = tmp_path / "gcs-uploader.fish"
    script.write_text(gcs_uploader("completions", "fish").stdout)
    ask = f"source {script}; complete --do-complete 'gcs-uploader serve --upload-'"
    done = subprocess.run(
        [shell("fish"), "--no-config", "--command", ask],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} >= {
        "--upload-size",
        "--upload-timeout",
    }, done


def test_another_shell_is_refused_with_those_that_are_known():
    done = gcs_uploader("completions", "tcsh")
    assert done.returncode == 2 and not done.stdout
    assert "tcsh" in done.stderr and "bash, zsh, fish" in done.stderr
