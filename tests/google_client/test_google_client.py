"""The emulator, held to Google's own Python client.

The client is the judge: what it uploads, reads, lists and deletes through the emulator must come
out as it does with Cloud Storage. The emulator is the binary's: `gcs-uploader emulator`, on a free
port. GCS_UPLOADER_BIN is the path of the binary; without it, target/debug/gcs-uploader.
"""

import base64
import hashlib
import io
import os
import pathlib
import subprocess
import uuid

import google_crc32c
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("GCS_UPLOADER_BIN", str(ROOT / "target" / "debug" / "gcs-uploader"))
BUCKET = "held-to-google"
STEP = 256 * 1024


@pytest.fixture(scope="session")
def emulator_url():
    command = [BINARY, "emulator", "--listen", "127.0.0.1:0", "--bucket", BUCKET]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), f"{command} said {url!r} in place of its URL"
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.fixture
def client(emulator_url, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator_url)
    with_no_identity = AnonymousCredentials()
    return storage.Client(project="tests", credentials=with_no_identity)


@pytest.fixture
def bucket(client):
    return client.bucket(BUCKET)


@pytest.fixture
def name():
    """The name of an object that no other test makes."""
    return f"{uuid.uuid4()}/a picture, ä.png"


def content(size):
    return bytes(index * 31 + (index >> 8) & 0xFF for index in range(1000)) * (size // 1000 + 1)


def crc32c(data):
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def assert_holds(bucket, name, data):
    """What a second look at the object says is what was uploaded."""
    blob = bucket.get_blob(name)
    assert blob.size == len(data)
    assert blob.crc32c == crc32c(data)
    assert blob.md5_hash == md5(data)
    assert blob.generation > 0
    assert blob.metageneration == 1
    assert blob.etag
    assert blob.time_created is not None
    assert blob.download_as_bytes(checksum="crc32c") == data
    assert blob.download_as_bytes(checksum="md5") == data


# Uploads.


@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, 2_000_000])
@pytest.mark.parametrize("checksum", [None, "crc32c", "md5"])
def test_multipart_upload(bucket, name, size, checksum):
    # The client uploads up to 8 MB in one multipart request.
    data = content(size)[:size]
    blob = bucket.blob(name)
    blob.metadata = {"colour": "grün"}
    blob.upload_from_string(
        data, content_type="image/png", checksum=checksum, if_generation_match=0
    )
    assert_holds(bucket, name, data)
    assert bucket.get_blob(name).content_type == "image/png"
    assert bucket.get_blob(name).metadata == {"colour": "grün"}


def test_media_upload(client, bucket, name, emulator_url):
    data = content(STEP + 1)[: STEP + 1]
    answer = client._http.post(
        f"{emulator_url}/upload/storage/v1/b/{BUCKET}/o",
        params={"uploadType": "media", "name": name},
        data=data,
        headers={"Content-Type": "image/png"},
    )
    assert answer.status_code == 200
    assert_holds(bucket, name, data)


@pytest.mark.parametrize("size", [8 * 1024 * 1024 + 1, 9_000_000, 36 * STEP])
@pytest.mark.parametrize("checksum", [None, "crc32c", "md5"])
def test_resumable_upload(bucket, name, size, checksum, tmp_path):
    # The client uploads what is larger than 8 MB over a session, with a request for each chunk.
    data = content(size)[:size]
    path = tmp_path / "file"
    path.write_bytes(data)
    blob = bucket.blob(name, chunk_size=4 * STEP)
    blob.upload_from_filename(str(path), checksum=checksum, if_generation_match=0)
    assert_holds(bucket, name, data)


@pytest.mark.parametrize("size", [0, 1, STEP - 1, STEP, STEP + 1, 2 * STEP, 5 * STEP + 17])
@pytest.mark.parametrize("checksum", [None, "crc32c", "md5"])
def test_resumable_upload_of_unknown_size(bucket, name, size, checksum):
    # So does it what it does not know the size of.
    data = content(size)[:size]
    blob = bucket.blob(name, chunk_size=2 * STEP)
    blob.upload_from_file(io.BytesIO(data), checksum=checksum, if_generation_match=0)
    assert_holds(bucket, name, data)


def test_resumable_upload_of_a_stream(bucket, name):
    data = content(5 * STEP + 17)[: 5 * STEP + 17]
    with bucket.blob(name, chunk_size=STEP).open("wb", if_generation_match=0) as file:
        for start in range(0, len(data), 100_000):
            file.write(data[start : start + 100_000])
    assert_holds(bucket, name, data)


def test_session_made_by_one_and_used_by_another(client, bucket, name):
    data = content(STEP + 5)[: STEP + 5]
    session = bucket.blob(name).create_resumable_upload_session(
        content_type="image/png", size=len(data), if_generation_match=0
    )
    total = len(data)
    first = client._http.put(
        session, data=data[:STEP], headers={"Content-Range": f"bytes 0-{STEP - 1}/{total}"}
    )
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{STEP - 1}")
    last = client._http.put(
        session, data=data[STEP:], headers={"Content-Range": f"bytes {STEP}-{total - 1}/{total}"}
    )
    assert last.status_code == 200
    assert_holds(bucket, name, data)


@pytest.mark.parametrize("size", [len(b"content"), None])
def test_wrong_checksum_makes_no_object(bucket, name, size):
    blob = bucket.blob(name)
    blob.crc32c = crc32c(b"something else")
    with pytest.raises(exceptions.BadRequest):
        blob.upload_from_file(io.BytesIO(b"content"), size=size, checksum=None)
    assert not bucket.blob(name).exists()


# Preconditions.


# With a size the client makes one request, without it a session.
@pytest.mark.parametrize("size", [len(b"second"), None])
def test_existing_object_is_not_overwritten(bucket, name, size):
    bucket.blob(name).upload_from_string(b"first")
    second = bucket.blob(name)
    with pytest.raises(exceptions.PreconditionFailed):
        second.upload_from_file(io.BytesIO(b"second"), size=size, if_generation_match=0)
    assert bucket.blob(name).download_as_bytes() == b"first"


@pytest.mark.parametrize("size", [len(b"second"), None])
def test_known_generation_is_overwritten(bucket, name, size):
    first = bucket.blob(name)
    first.upload_from_string(b"first")
    second = bucket.blob(name)
    second.upload_from_file(
        io.BytesIO(b"second"),
        size=size,
        if_generation_match=first.generation,
        if_metageneration_match=1,
    )
    assert second.generation > first.generation
    assert bucket.blob(name).download_as_bytes() == b"second"
    with pytest.raises(exceptions.NotFound):
        bucket.blob(name, generation=first.generation).download_as_bytes()


def test_unchanged_object_is_not_read_again(bucket, name):
    blob = bucket.blob(name)
    blob.upload_from_string(b"content")
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=blob.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.reload(if_generation_match=blob.generation + 1)


# Downloads.


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (0, 9), (STEP - 1, STEP), (STEP, None), (None, 99), (-5, None)]
)
def test_download_of_a_range(bucket, name, start, end):
    data = content(2 * STEP)[: 2 * STEP]
    bucket.blob(name).upload_from_string(data)
    expected = data[start : None if end is None else end + 1]
    assert bucket.blob(name).download_as_bytes(start=start, end=end) == expected


def test_download_in_chunks(bucket, name, tmp_path):
    data = content(3 * STEP + 7)[: 3 * STEP + 7]
    bucket.blob(name).upload_from_string(data)
    path = tmp_path / "file"
    bucket.blob(name, chunk_size=STEP).download_to_filename(str(path))
    assert path.read_bytes() == data
    with bucket.blob(name, chunk_size=STEP).open("rb") as file:
        file.seek(STEP + 3)
        assert file.read(10) == data[STEP + 3 : STEP + 13]


def test_download_beyond_the_end(bucket, name):
    bucket.blob(name).upload_from_string(b"content")
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        bucket.blob(name).download_as_bytes(start=7)


def test_download_of_what_is_not_there(bucket, name):
    with pytest.raises(exceptions.NotFound):
        bucket.blob(name).download_as_bytes()
    assert bucket.get_blob(name) is None


# Listings.


@pytest.fixture
def tree(bucket):
    root = f"{uuid.uuid4()}/"
    for leaf in ["a", "b/1", "b/2", "b/c/3", "d"]:
        bucket.blob(root + leaf).upload_from_string(leaf)
    return root


def test_listing_with_a_prefix(client, tree):
    names = [blob.name for blob in client.list_blobs(BUCKET, prefix=tree)]
    assert names == [tree + leaf for leaf in ["a", "b/1", "b/2", "b/c/3", "d"]]
    assert list(client.list_blobs(BUCKET, prefix=f"{tree}nothing")) == []


def test_listing_with_a_delimiter(client, tree):
    listing = client.list_blobs(BUCKET, prefix=tree, delimiter="/")
    assert [blob.name for blob in listing] == [f"{tree}a", f"{tree}d"]
    assert listing.prefixes == {f"{tree}b/"}


@pytest.mark.parametrize("page_size", [1, 2, 3, 10])
def test_listing_in_pages(client, tree, page_size):
    pages = list(client.list_blobs(BUCKET, prefix=tree, page_size=page_size).pages)
    names = [[blob.name for blob in page] for page in pages]
    assert all(len(page) <= page_size for page in names)
    assert sum(names, []) == [tree + leaf for leaf in ["a", "b/1", "b/2", "b/c/3", "d"]]


def test_listing_stops_when_it_has_enough(client, tree):
    assert len(list(client.list_blobs(BUCKET, prefix=tree, max_results=2))) == 2


# Deletions.


def test_deletion(bucket, name):
    blob = bucket.blob(name)
    blob.upload_from_string(b"content")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=blob.generation + 1)
    assert blob.exists()
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()
    with pytest.raises(exceptions.NotFound):
        blob.delete()


# Buckets.


def test_buckets(client):
    wanted = f"bucket-{uuid.uuid4()}"
    assert client.lookup_bucket(wanted) is None
    with pytest.raises(exceptions.NotFound):
        client.get_bucket(wanted)
    made = client.create_bucket(wanted)
    assert made.name == wanted
    assert client.get_bucket(wanted).exists()
    assert {BUCKET, wanted} <= {bucket.name for bucket in client.list_buckets()}
    with pytest.raises(exceptions.Conflict):
        client.create_bucket(wanted)
    with pytest.raises(exceptions.BadRequest):
        client.create_bucket("UPPER CASE")


def test_a_bucket_that_is_not_there(client, name):
    blob = client.bucket(f"nowhere-{uuid.uuid4()}").blob(name)
    with pytest.raises(exceptions.NotFound):
        blob.upload_from_string(b"content")
    with pytest.raises(exceptions.NotFound):
        list(client.list_blobs(blob.bucket))


# Faults: the client gets over what it gets over with Cloud Storage. (A chunk of which only a part is
# persisted is not among that: the client gives up.)


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "start", "times": 2, "action": {"status": {"status": 503, "retry_after": "0"}}},
        {"on": "data", "after": 1, "action": {"status": {"status": 503}}},
        {
            "on": "data",
            "action": {"break_after_request_bytes": {"bytes": STEP + 9, "with": "reset"}},
        },
        {"on": "data", "after": 2, "action": {"break_before_answer": {"with": "close"}}},
    ],
)
def test_faults_on_the_way(client, bucket, name, rule, emulator_url):
    data = content(6 * STEP)[: 6 * STEP]
    # The client names an object that it starts only in the body, too late for a rule.
    rule = rule if rule["on"] == "start" else dict(rule, object=name)
    ordered = client._http.post(f"{emulator_url}/_emulator/faults", json=rule)
    assert ordered.status_code == 200
    blob = bucket.blob(name, chunk_size=2 * STEP)
    blob.upload_from_file(io.BytesIO(data), if_generation_match=0)
    assert_holds(bucket, name, data)
    assert client._http.get(f"{emulator_url}/_emulator/faults").json() == []


def test_no_request_of_the_client_broke_the_protocol(client, emulator_url):
    # Comes last: looks at what all the tests above sent.
    seen = client._http.get(f"{emulator_url}/_emulator/requests").json()
    assert seen["requests"]
    assert seen["violations"] == []
