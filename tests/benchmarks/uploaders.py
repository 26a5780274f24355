# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks.uploaders CLIENT BMCS PORT IMAGE`: one of CLIENTS sends an image to many BMCs at once."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

from rig.redfish_clients import community_command, community_environment

CHECKOUT = Path(__file__).resolve().parents[2]


def hwctl(count: int, port: int, path: str) -> None:
    """As the module firmware sends: threads of its pools, pieces of one mapped file."""
    _collection()
    from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients.http import HttpClient
    from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.deadline import Deadline
    from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import Image
    from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.pools import UPLOAD_SLOT, Life, Pools
    from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import CHANGED, FAILED, Outcome
    from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target

    image = Image.open(path, version="1")
    item = {"address": "127.0.0.1", "port": port, "protocol": "redfish", "username": "a", "password": "b"}
    target = Target.of({**item, "validate_certs": False})

    class Upload(Life):
        deadline = Deadline(None)

        def steps(self):  # type: ignore[no-untyped-def]
            yield UPLOAD_SLOT
            answer = HttpClient(target, self.deadline).send("POST", "/", [image.content], lambda sent: None, 600)
            return Outcome("bmc", CHANGED if answer.ok else FAILED)

        def abandoned(self) -> Outcome:
            return Outcome("bmc", FAILED)

        def broken(self, error: Exception) -> Outcome:
            print(error, file=sys.stderr)
            return Outcome("bmc", FAILED)

    outcomes: list[Outcome] = []
    Pools(count, 10).run((Upload() for _number in range(count)), outcomes.append)
    sys.exit(sum(one.failed for one in outcomes))


def curl(count: int, port: int, path: str) -> None:
    """A process for each BMC, as xCAT had it."""
    command = [
        "curl",
        "--silent",
        "--insecure",
        "--request",
        "POST",
        "--upload-file",
        path,
        f"https://127.0.0.1:{port}/",
    ]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _number in range(count)]
    sys.exit(sum(process.wait() != 0 for process in running))


def in_memory(count: int, port: int, path: str) -> None:
    """Each holds the image as bytes."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    failed: list[object] = []

    def send() -> None:
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
            connection.request("POST", "/", Path(path).read_bytes())
            if connection.getresponse().status != 202:
                failed.append("refused")
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=send) for _number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(len(failed))


def community(count: int, port: int, path: str) -> None:
    """community.general's module in a process for each BMC, as Ansible runs it (scripts/redfish-clients.sh)."""
    options = {"baseuri": f"127.0.0.1:{port}", "username": "a", "password": "b", "timeout": 600, "category": "Update"}
    options.update({"command": ["MultipartHTTPPushUpdate"], "update_image_file": path})
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "env": community_environment()}
    running = [subprocess.Popen(community_command("redfish_command"), **pipes) for _number in range(count)]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode())
        process.stdin.close()
    sys.exit(sum(process.wait() != 0 for process in running))


CLIENTS = {"hwctl": hwctl, "curl": curl, "bytes": in_memory, "redfish_command": community}


def _collection() -> None:
    """Make the checkout importable as the collection that it is, and nothing more: what tests import costs memory."""
    for name, folder in (("", "."), (".baremetal", "."), (".baremetal.lab", CHECKOUT)):
        module = types.ModuleType(f"ansible_collections{name}")
        module.__path__ = [str(folder)]
        sys.modules[module.__name__] = module


if __name__ == "__main__":
    CLIENTS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
