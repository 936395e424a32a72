"""A name server that knows one name: `python names.py NAME`, on 127.0.0.1:53, until it is ended.

It runs in a container's network, to show that what is in the image can resolve names.
"""

import socket
import struct
import sys

A, AAAA = 1, 28


def answer(query: bytes, known: str) -> bytes:
    """The answer to a query with one question: 127.0.0.1 for an A record of the known name."""
    end = 12
    labels = []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode())
        end += 1 + query[end]
    end += 1
    (kind,) = struct.unpack("!H", query[end : end + 2])
    question = query[12 : end + 4]
    is_known = ".".join(labels).lower() == known
    records = b""
    if is_known and kind == A:
        records = struct.pack("!HHHIH", 0xC00C, A, 1, 60, 4) + socket.inet_aton("127.0.0.1")
    flags = 0x8580 if is_known else 0x8583  # authoritative; or: no such name
    counts = struct.pack("!HHHHH", flags, 1, bool(records), 0, 0)
    return query[:2] + counts + question + records


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 53))
        while True:
            query, client = listening.recvfrom(512)
            listening.sendto(answer(query, sys.argv[1]), client)


if __name__ == "__main__":
    main()
