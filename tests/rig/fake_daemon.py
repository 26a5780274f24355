# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's control socket without the daemon: what clients are tested against.

It plans with the real convergence and keeps its instances in memory; no endpoint is bound.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

from vbmcd import converge
from vbmcd.config import Instance
from vbmcd.control import protocol
from vbmcd.documents import State, instance_to_document
from vbmcd.errors import VbmcError, refusal

STATES = {"delete": State.ABSENT, "start": State.STARTED, "stop": State.STOPPED}


class FakeDaemon:
    """Use it as a context manager; `requests` has what was asked, `failing` why an instance is in error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.instances: dict[str, Instance] = {}
        self.failing: dict[str, str] = {}
        self.requests: list[tuple[str, Mapping[str, Any]]] = []
        self.answer: Callable[[bytes], bytes] = self._answer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._listening = threading.Event()

    def __enter__(self) -> FakeDaemon:
        self._thread.start()
        assert self._listening.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _serve(self) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.linger = 200
            router.bind(f"ipc://{self.path}")
            self._listening.set()
            while not self._stop.is_set():
                if router.poll(20):
                    *envelope, data = router.recv_multipart()
                    router.send_multipart([*envelope, self.answer(data)])

    def _answer(self, data: bytes) -> bytes:
        try:
            request = protocol.decode_request(data)
            self.requests.append((request.command, request.arguments))
            return protocol.encode_result(self._handle(request.command, request.arguments))
        except VbmcError as error:
            return protocol.encode_error(error)

    def _handle(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if command == "ping":
            worker = {"name": "worker-1", "pid": 7, "instances": len(self.instances), "heartbeat_age": 0.1}
            return {"version": "0", "pid": 6, "state_dir": "/state", "socket": str(self.path), "workers": [worker]}
        if command == "list":
            names = protocol.parse_names("list", arguments, required=False)
            unknown = [converge.unknown(name) for name in names if name not in self.instances]
            if unknown:
                raise refusal(unknown)
            return {"instances": [self._status(name) for name in names or self.instances]}
        if command == "apply":
            wanted = protocol.parse_apply(arguments)
            plan = converge.plan(
                self.instances, wanted.wanted, purge_owner=wanted.purge_owner, create_only=wanted.create_only
            )
            return self._carry_out(plan, wanted.check)
        names = protocol.parse_names(command, arguments)
        plan = converge.plan_names(self.instances, names, STATES[command])
        return self._carry_out(plan, False, partly=bool(plan.changes))

    def _carry_out(self, plan: converge.Plan, check: bool, partly: bool = False) -> dict[str, Any]:
        if plan.errors and not partly:
            raise refusal(plan.errors)
        if not check:
            self.instances = plan.result(self.instances)
        result: dict[str, Any] = converge.report(plan)
        for one in result["instances"]:
            one["error"] = one["error"] or self.failing.get(one["name"])
        return result

    def _status(self, name: str) -> dict[str, Any]:
        instance = self.instances[name]
        reason = self.failing.get(name, "")
        status = "error" if reason else "running" if instance.active else "down"
        document = instance_to_document(instance)
        return {**document, "status": status, "reason": reason, "worker": "worker-1", "pid": 7}
