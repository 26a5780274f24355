# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors on their way from the supervisor to a worker: batches over the worker's channel, by SCM_RIGHTS.

``supervisor.workers`` sends, ``worker.link`` receives; tokens pair them with the assignments of ``wire``.
"""

from __future__ import annotations

import json
import socket
from typing import Dict, Iterable, Iterator, List, Sequence, Tuple

SCM_MAX_FD = 253
"""Descriptors one message may carry (unix(7))."""


def batches(sockets: Dict[int, socket.socket]) -> Iterator[Tuple[List[int], List[int]]]:
    """Tokens and descriptors, as many at a time as one message carries."""
    items = list(sockets.items())
    for start in range(0, len(items), SCM_MAX_FD):
        part = items[start : start + SCM_MAX_FD]
        yield [token for token, _sock in part], [sock.fileno() for _token, sock in part]


def send(channel: socket.socket, tokens: Sequence[int], descriptors: Iterable[int]) -> None:
    """One batch over a worker's channel."""
    socket.send_fds(channel, [json.dumps(list(tokens)).encode()], list(descriptors))


def receive(channel: socket.socket) -> Dict[int, socket.socket]:
    """One batch in the worker; empty when the supervisor has closed the channel."""
    data, descriptors, _flags, _address = socket.recv_fds(channel, 16 * SCM_MAX_FD, SCM_MAX_FD)
    tokens = json.loads(data) if data else []
    return {token: socket.socket(fileno=descriptor) for token, descriptor in zip(tokens, descriptors)}
