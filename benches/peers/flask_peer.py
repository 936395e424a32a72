"""The same service as it is mostly written in Python: Flask, gunicorn and Google's own client.

`CHUNK` set to a number of bytes makes every upload a resumable one.
"""

import os
import uuid

from flask import Flask, jsonify, request
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

app = Flask(__name__)
client = storage.Client(project="project", credentials=AnonymousCredentials())
bucket = client.bucket("bucket")


@app.post("/api/upload-random")
def upload_random():
    size = int(request.args["size"])
    blob = bucket.blob(str(uuid.uuid4()), chunk_size=int(os.environ.get("CHUNK", 0)) or None)
    blob.upload_from_string(os.urandom(size), "application/octet-stream", if_generation_match=0)
    return jsonify(name=blob.name, size=size), 201


@app.get("/api/health")
def health():
    return jsonify(status="ok")
