# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the power states of a lab's nodes with ipmitool, several at once: read_bmcs.py FORKS < LAB > STATES.

Run by tasks/status.yml on a hypervisor. LAB is a JSON object: "nodes" are items of the module vbmc (name, username,
password), "instances" what its daemon has (name, address, port, redfish). STATES is a JSON object, name to "power"
("on", "off", or why it can't be told), "redfish" (why it does not answer there; empty where it does, or has none) and,
where there is a BMC, its "address" and "port". Passwords travel in the environment of a process of the same user, and
never on a command line.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LOOPBACK = {"::": "::1", "0.0.0.0": "127.0.0.1"}
"""Where to ask a BMC that answers on every address."""


def power(address: str, port: int, username: str, password: str) -> str:
    command = ["ipmitool", "-I", "lanplus", "-C", "17", "-N", "1", "-R", "3", "-E", "-U", username]
    command += ["-H", LOOPBACK.get(address, address), "-p", str(port), "chassis", "power", "status"]
    environment = {**os.environ, "IPMI_PASSWORD": password}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        return "unknown: there is no ipmitool"
    except subprocess.TimeoutExpired:
        return "no answer"
    if done.returncode == 0:
        return done.stdout.strip().rsplit(" ", 1)[-1]
    said = (done.stderr.strip() or f"ipmitool ended with {done.returncode}").splitlines()[-1]
    return "no answer" if "Unable to establish" in said else said


def redfish(instance: dict[str, Any]) -> str:
    """Asks for the service root, for which nobody has to log in. A certificate of its own the BMC has then."""
    service = instance.get("redfish") or {}
    if not service.get("enabled"):
        return ""
    address = service.get("address") or instance["address"]
    place = (LOOPBACK.get(address, address), service["port"])
    connection = http.client.HTTPConnection(*place, timeout=10)
    if service["tls"]:
        # Nothing is told to it, and whom it has to convince is not here.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(*place, timeout=10, context=context)
    try:
        connection.request("GET", "/redfish/v1/")
        status = connection.getresponse().status
        return "" if status == 200 else f"HTTP {status}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


def state(node: dict[str, Any], instance: dict[str, Any] | None) -> dict[str, Any]:
    if instance is None:
        return {"power": "unknown", "redfish": ""}
    address, port = instance["address"], instance["port"]
    told = power(address, port, node["username"], node["password"])
    return {"address": address, "port": port, "power": told, "redfish": redfish(instance)}


def main() -> None:
    lab = json.load(sys.stdin)
    instances = {instance["name"]: instance for instance in lab["instances"]}
    with ThreadPoolExecutor(int(sys.argv[1])) as pool:
        states = pool.map(lambda node: state(node, instances.get(node["name"])), lab["nodes"])
        json.dump({node["name"]: found for node, found in zip(lab["nodes"], states)}, sys.stdout)


if __name__ == "__main__":
    main()
