# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Redfish service in a thread, to answer as a test says: what no real service can be made to say.

with RedfishService() as service:
    service.answers["PATCH", "/redfish/v1/Systems/1"] = (412, {}, {"error": {"message": "try again"}})
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import ssl
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Document = dict[str, Any]
SYSTEM = "/redfish/v1/Systems/1"
SESSIONS = "/redfish/v1/SessionService/Sessions"
MANAGER = "/redfish/v1/Managers/bmc"
UPDATES = "/redfish/v1/UpdateService"
IMAGES = f"{UPDATES}/FirmwareInventory"


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    document: Document | None
    body: bytes = b""
    """What is no JSON."""


def resources() -> dict[str, Document]:
    return {
        "/redfish/v1/": {
            "RedfishVersion": "1.15.0",
            "Systems": {"@odata.id": "/redfish/v1/Systems"},
            "Links": {"Sessions": {"@odata.id": SESSIONS}},
        },
        "/redfish/v1/Systems": {"Members": [{"@odata.id": SYSTEM}]},
        SYSTEM: {
            "Id": "1",
            "UUID": "6695EB01-F6A4-8304-79AA-97F2502E193F",
            "PowerState": "Off",
            "Boot": {
                "BootSourceOverrideEnabled": "Disabled",
                "BootSourceOverrideTarget": "None",
                "BootSourceOverrideMode": "UEFI",
            },
            "Actions": {
                "#ComputerSystem.Reset": {
                    "target": f"{SYSTEM}/Actions/ComputerSystem.Reset",
                    "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown"],
                }
            },
            "Links": {"ManagedBy": [{"@odata.id": "/redfish/v1/Managers/bmc"}]},
        },
        MANAGER: {"FirmwareVersion": "2.14.0"},
    }


def firmware_resources() -> dict[str, Document]:
    """An update service as OpenBMC's bmcweb has it, with the image that runs and one that does not."""
    found = resources()
    found["/redfish/v1/"].update(UpdateService={"@odata.id": UPDATES}, Managers={"@odata.id": "/redfish/v1/Managers"})
    found["/redfish/v1/Managers"] = {"Members": [{"@odata.id": MANAGER}]}
    found[MANAGER] |= {
        "LastResetTime": "2026-01-01T00:00:00+00:00",
        "Status": {"State": "Enabled"},
        "Links": {"ActiveSoftwareImage": {"@odata.id": f"{IMAGES}/1f3a"}},
        "Actions": {"#Manager.Reset": {"target": f"{MANAGER}/Actions/Manager.Reset"}},
    }
    found[UPDATES] = {
        "ServiceEnabled": True,
        "MaxImageSizeBytes": 1 << 20,
        "HttpPushUri": f"{UPDATES}/update",
        "MultipartHttpPushUri": f"{UPDATES}/update-multipart",
        "FirmwareInventory": {"@odata.id": IMAGES},
    }
    found[IMAGES] = {"Members": [{"@odata.id": f"{IMAGES}/{id}"} for id in ("1f3a", "77c0")]}
    for id, version in (("1f3a", "2.14.0"), ("77c0", "2.13.0")):
        found[f"{IMAGES}/{id}"] = {
            "Version": version,
            "Description": "BMC image",
            "Status": {"State": "Enabled"},
            "RelatedItem": [{"@odata.id": MANAGER}],
        }
    return found


class RedfishService:
    """Logs in admin with pa55word. Give it a folder, and it speaks TLS with a certificate of its own."""

    def __init__(self, tls_folder: Path | None = None) -> None:
        self.resources = resources()
        self.answers: dict[tuple[str, str], tuple[int, dict[str, str], Document | bytes]] = {}
        """By method and path, instead of what it would answer by itself."""
        self.seen: list[Seen] = []
        self.fingerprint = ""
        self.certificate = Path()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        if tls_folder is not None:
            self._use_tls(tls_folder)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def requests(self, method: str) -> list[Seen]:
        return [one for one in self.seen if one.method == method]

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], Document | bytes]:
        self.seen.append(seen)
        if (seen.method, seen.path) in self.answers:
            return self.answers[seen.method, seen.path]
        if (seen.method, seen.path) == ("POST", SESSIONS):
            if seen.document == {"UserName": "admin", "Password": "pa55word"}:
                return 201, {"X-Auth-Token": "t0ken", "Location": f"{SESSIONS}/7"}, {"Id": "7"}
            return 401, {}, b""
        if seen.method == "GET" and seen.path in self.resources:
            return 200, {}, self.resources[seen.path]
        return (204, {}, b"") if seen.method != "GET" else (404, {}, b"")

    def _use_tls(self, folder: Path) -> None:
        self.certificate, key = folder / "cert.pem", folder / "key.pem"
        names = ["-subj", "/CN=bmc", "-addext", "subjectAltName=IP:127.0.0.1"]
        making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([*making, "-days", "2", *names, *files], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        self.fingerprint = hashlib.sha256(der).hexdigest()


def _handler(service: RedfishService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one segment: the client would wait for a delayed acknowledgement

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            plain = headers.get("content-type", "").partition(";")[0] == "application/json"
            document = json.loads(body) if plain and body else None
            seen = Seen(self.command, self.path, headers, document, b"" if plain else body)
            status, more, answer = service.answer(seen)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
