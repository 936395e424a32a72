"""Emulators, on free ports, of the two services that an instance uses: a store that discards what it
receives, and Google's metadata server. They implement the parts of each protocol that these tests need."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status: int, document: dict | None = None, **headers: str) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Listening:
    """A threading HTTP server for the time of a `with`."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.request_queue_size = 256
        self.authority = f"127.0.0.1:{self.http.server_address[1]}"
        self.url = f"http://{self.authority}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


class DiscardingStore(_Listening):
    """Accepts resumable uploads, discards their bytes, and responds with the declared checksum.

    It breaks the first transfer off after 256 KiB, once; the uploader has to query the offset and
    resume from there.
    """

    PERSISTED = 256 * 1024

    def __init__(self):
        super().__init__(_Storing)
        self.http.sessions = {}
        self.http.broken = threading.Event()


class _Storing(_Quiet):
    def do_POST(self):
        target = urlsplit(self.path)
        bucket = re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", target.path)[1]
        declared = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        session = str(len(self.server.sessions) + 1)
        self.server.sessions[session] = {
            "bucket": bucket,
            "name": parse_qs(target.query)["name"][0],
            "crc32c": declared["crc32c"],
            "generation": session,
        }
        self.answer(200, Location=f"http://{self.headers['Host']}/session/{session}")

    def do_PUT(self):
        metadata = self.server.sessions[self.path.rpartition("/")[2]]
        size = self.headers["Content-Range"].rpartition("/")[2]
        if self.headers["Content-Range"].startswith("bytes */") and size != "0":
            self.answer(308, Range=f"bytes=0-{DiscardingStore.PERSISTED - 1}")
            return
        left = int(self.headers["Content-Length"])
        if left > DiscardingStore.PERSISTED and not self.server.broken.is_set():
            self.server.broken.set()
            self.rfile.read(DiscardingStore.PERSISTED)
            self.close_connection = True
            return
        while left > 0:
            taken = len(self.rfile.read(min(left, 1 << 20)))
            if taken == 0:
                self.close_connection = True
                return
            left -= taken
        self.answer(200, metadata | {"size": size, "contentType": "application/octet-stream"})

    def do_GET(self):
        self.answer(404, {"error": {"code": 404, "message": "nothing is kept here"}})

    def do_DELETE(self):
        self.answer(499)


class MetadataServer(_Listening):
    """Gives every pod of the node a token, as GKE's does."""

    def __init__(self):
        super().__init__(_Federating)


class _Federating(_Quiet):
    def do_GET(self):
        if self.path.split("?")[0].endswith("/token"):
            token = {"access_token": "none-of-googles", "expires_in": 3600, "token_type": "Bearer"}
            self.answer(200, token, Metadata_Flavor="Google", Content_Type="application/json")
        else:
            self.answer(200, None, Metadata_Flavor="Google")
