"""The helpers of the jobs: the load that must not lose an upload, and what a summary says."""

import http.server
import re
import threading
import time

import pytest

from conftest import REPOSITORY, SCRIPTS, page, run

LOAD = SCRIPTS / "steady-load"


class Uploads(http.server.ThreadingHTTPServer):
    """Answers every upload with 201, until a POST to /break; with 503 from then on. A POST to /refused
    is answered when an upload has been."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.broken = threading.Event()
        self.refused = threading.Event()
        self.hosts = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        if self.path == "/break":
            self.server.broken.set()
        if self.path == "/refused":
            self.server.refused.wait(30)
        self.server.hosts.add(self.headers["Host"])
        body = b"{}"
        refused = self.server.broken.is_set() and self.path.startswith("/api/upload-random")
        self.send_response(503 if refused else 201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if refused:
            self.server.refused.set()

    def log_message(self, *_):
        pass


@pytest.fixture
def uploads():
    with Uploads() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def counted(output):
    good, bad = re.search(r"(\d+) uploads in \d+ s succeeded, (\d+) failed", output).groups()
    return int(good), int(bad)


# A request beside those of the load, which are what is counted.
UPLOAD_ONCE = "curl --silent --fail --output /dev/null --request POST"


def test_a_load_without_a_failure_passes(uploads):
    done = run(LOAD, uploads.url, "--host", "name.test", "--", "sh", "-c", f"for n in 1 2 3; do {UPLOAD_ONCE} {uploads.url}/once; done")
    assert done.returncode == 0, done.stdout + done.stderr
    good, bad = counted(done.stdout)
    assert good > 0 and bad == 0
    assert "name.test" in uploads.hosts


def test_a_load_is_no_faster_than_it_was_told_to_be(uploads):
    begin = time.monotonic()
    done = run(LOAD, uploads.url, "--clients", "20", "--rate", "10", "--", "sleep", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    # The first at once, and each later one a tenth of a second after the one before.
    assert 0 < counted(done.stdout)[0] <= 1 + 10 * (time.monotonic() - begin)


def test_the_load_of_a_roll_out_is_what_the_ingress_lets_one_address_do():
    (rate,) = re.findall(r"--rate (\d+)", (SCRIPTS / "cluster" / "roll-out").read_text())
    (limit,) = re.findall(r'/limit-rps: "(\d+)"', (REPOSITORY / "kustomize" / "components" / "ingress-nginx" / "ingress.yaml").read_text())
    assert 0 < int(rate) < int(limit)


def test_one_refused_upload_fails_the_load(uploads):
    done = run(LOAD, uploads.url, "--", "sh", "-c", f"{UPLOAD_ONCE} {uploads.url}/break; {UPLOAD_ONCE} {uploads.url}/refused")
    assert done.returncode == 1
    assert counted(done.stdout)[1] > 0
    assert "× 503" in done.stdout


def test_a_command_that_fails_fails_the_load(uploads):
    done = run(LOAD, uploads.url, "--", "false")
    assert done.returncode == 1
    assert "the exit status of false is 1" in done.stderr


def test_a_server_that_is_not_there_is_said_before_the_command_runs(uploads, tmp_path):
    uploads.broken.set()
    done = run(LOAD, uploads.url, "--", "touch", str(tmp_path / "ran"))
    assert done.returncode == 1
    assert "the first upload failed" in done.stderr
    assert not (tmp_path / "ran").exists()


def summary(tmp_path, *command):
    written = tmp_path / "summary"
    done = run(SCRIPTS / "in-summary", *command, GITHUB_STEP_SUMMARY=str(written))
    return done, written.read_text()


def test_a_summary_counts_what_passed(tmp_path):
    said = tmp_path / "said"
    said.write_text("running 3 tests\ntest result: ok. 3 passed; 0 failed\n==== 5 passed, 1 skipped in 0.12s ====\nSKIPPED [1] a.py:3: NOT CHECKED: no kit\n")
    done, written = summary(tmp_path, "cat", str(said))
    assert done.returncode == 0
    assert "test result: ok. 3 passed; 0 failed" in written
    assert "5 passed, 1 skipped" in written
    assert "NOT CHECKED: no kit" in written
    assert "✅" in written and "running 3 tests" not in written


def test_a_summary_of_a_failure_ends_with_what_was_said_and_keeps_the_status(tmp_path):
    done, written = summary(tmp_path, "sh", "-c", "echo '</pre><script>'; exit 3")
    assert done.returncode == 3
    assert "❌" in written
    assert "&lt;/pre&gt;&lt;script&gt;" in written


def test_a_badge_stands_for_a_workflow_that_exists():
    badges = re.findall(r"actions/workflows/([\w.-]+)/badge\.svg", (REPOSITORY / "README.md").read_text())
    assert {"release-image.yml", "end-to-end.yml"} <= set(badges)
    for name in badges:
        assert page(REPOSITORY / ".github" / "workflows" / name)["name"]
