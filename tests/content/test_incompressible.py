"""Random files do not compress: no archiver finds anything in them, not over long distances either."""

import bz2
import json
import lzma
import os
import subprocess
import urllib.request
import zlib

import pytest

BINARY = os.environ["GCS_UPLOADER_BIN"]


@pytest.fixture(scope="module")
def files():
    """Two files of 4 MiB, one after the other, as they lie in the store."""
    emulator = subprocess.Popen(
        [BINARY, "emulator", "--listen", "127.0.0.1:0", "--bucket", "bucket"],
        stdout=subprocess.PIPE,
        text=True,
    )
    url = emulator.stdout.readline().strip()
    uploads = subprocess.run(
        [BINARY, "upload", "--size", "4MiB", "--count", "2", "--bucket", "bucket"],
        env={"STORAGE_EMULATOR_HOST": url},
        capture_output=True,
        check=True,
    )
    names = [json.loads(line)["name"] for line in uploads.stdout.splitlines()]
    media = [f"{url}/storage/v1/b/bucket/o/{name}?alt=media" for name in names]
    yield b"".join(urllib.request.urlopen(address).read() for address in media)
    emulator.terminate()
    emulator.wait()


@pytest.mark.parametrize(
    "compress",
    [
        lambda data: zlib.compress(data, 9),
        lambda data: bz2.compress(data, 9),
        lambda data: lzma.compress(data, preset=9),
    ],
    ids=["deflate", "bzip2", "lzma"],
)
def test_compression_gains_nothing(files, compress):
    assert len(files) == 8 << 20
    assert len(compress(files)) >= len(files)
