"""Each exit status that the help names, from a command that ends with it."""

import re
import signal
import socket
import subprocess

from binary import BINARY, gcs_uploader


def test_the_help_names_each():
    section = gcs_uploader("--help").stdout.split("Exit status:")[1]
    assert re.findall(r"^  (\d+) ", section, re.MULTILINE) == ["0", "1", "2", "130"]


def test_0_is_all_done():
    assert gcs_uploader("token", "new", "ci").returncode == 0


def test_0_is_a_server_that_was_told_to_stop():
    with subprocess.Popen(
        [BINARY, "serve", "--emulator", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    ) as server:
        assert any("listening on" in line for line in server.stderr)
        server.send_signal(signal.SIGTERM)
        server.stderr.read()
    assert server.returncode == 0


def test_1_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = gcs_uploader("serve", "--emulator", "--listen", address)
    assert done.returncode == 1 and address in done.stderr


def test_2_is_a_setting_that_makes_no_sense():
    done = gcs_uploader("serve", "--workers", "0")
    assert done.returncode == 2 and "WORKERS (--workers)" in done.stderr


def test_130_is_an_upload_cut_short_by_a_signal():
    with socket.create_server(("127.0.0.1", 0)) as store:
        upload = subprocess.Popen(
            [BINARY, "upload", "--bucket", "bucket"],
            env={"STORAGE_EMULATOR_HOST": f"127.0.0.1:{store.getsockname()[1]}"},
            stderr=subprocess.PIPE,
            text=True,
        )
        # It has begun: it waits for an answer that does not come.
        store.settimeout(30)
        connection, _ = store.accept()
        with connection:
            upload.send_signal(signal.SIGINT)
            _, said = upload.communicate(timeout=60)
    assert upload.returncode == 130, said
