# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks.sink KEY CERTIFICATE RATE`: takes uploads at so many bytes a second each, and keeps nothing.

Prints its port. It knows of HTTP no more than where the body begins and how long it is, and of Redfish one document,
which is at every address, for clients that ask where the image goes.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time
from contextlib import suppress

PIECE = 1 << 16
DOCUMENT = b'{"@odata.id": "/", "UpdateService": {"@odata.id": "/"}, "MultipartHttpPushUri": "/"}'
HEAD = b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(DOCUMENT)
ANSWERS = {status: b"HTTP/1.1 " + status + b"\r\n" + HEAD + DOCUMENT for status in (b"200 OK", b"202 Accepted")}


def take(connection: ssl.SSLSocket, rate: int) -> None:
    with connection, suppress(OSError):
        connection.do_handshake()
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(PIECE)
        head, _separator, body = head.partition(b"\r\n\r\n")
        if head.startswith(b"GET "):
            connection.sendall(ANSWERS[b"200 OK"])
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if b"expect: 100-continue" in head.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        buffer, got, began = bytearray(PIECE), len(body), time.monotonic()
        while got < length:
            count = connection.recv_into(buffer)
            if not count:
                return
            got += count
            early = began + got / rate - time.monotonic()
            if early > 0.02:
                time.sleep(early)
        connection.sendall(ANSWERS[b"202 Accepted"])


def main() -> None:
    key, certificate, rate = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    threading.stack_size(256 << 10)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection = context.wrap_socket(listener.accept()[0], server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=take, args=(connection, int(rate)), daemon=True).start()


if __name__ == "__main__":
    main()
