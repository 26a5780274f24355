# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending one image to many BMCs at once over TLS: hwctl beside curl, a client that holds the image as bytes, and
community.general's module.

The BMCs are a sink in a process of its own, which takes so many bytes a second of each connection and keeps none.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import processes, uploaders

CHECKOUT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
FORKS = 5
"""BMCs at once of a module that Ansible runs for each host, by its default. A hundred would want 20 GiB."""
SAMPLE_SECONDS = 0.1
CERTIFICATE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=sink".split()


@dataclass(frozen=True)
class Crowd:
    """So many BMCs that take an image of so many MiB, in so many seconds each."""

    bmcs: int
    mib: int
    seconds: float


@dataclass
class UploadCost:
    """One client and one crowd."""

    client: str
    bmcs: int
    mib: int
    seconds: float
    slowest: float
    """Times the time that the slowest BMC takes by itself."""
    cpu: float
    """Milliseconds of CPU of the client, an upload each."""
    memory: float
    """MiB that the client had of its own at most; the mapped image is the page cache's."""


def measure(crowds: Sequence[Crowd], folder: Path) -> list[UploadCost]:
    """Of each client in turn."""
    folder.mkdir(exist_ok=True)
    files = [str(folder / name) for name in ("key.pem", "certificate.pem")]
    subprocess.run([*CERTIFICATE, "-keyout", files[0], "-out", files[1]], check=True, capture_output=True)
    costs = []
    for crowd in crowds:
        image = folder / f"{crowd.mib}.bin"
        image.write_bytes(os.urandom(MIB) * crowd.mib)
        rate = int(crowd.mib * MIB / crowd.seconds)
        for client in uploaders.CLIENTS:
            few = replace(crowd, bmcs=min(crowd.bmcs, FORKS)) if client == "redfish_command" else crowd
            with Sink(files, rate) as sink:
                costs.append(_run(client, few, sink.port, image))
        image.unlink()
    return costs


class Sink:
    """The BMCs; see `serve`."""

    def __init__(self, files: Sequence[str], rate: int) -> None:
        command = [sys.executable, "-m", "benchmarks.sink", *files, str(rate)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_details: object) -> None:
        self._process.kill()
        self._process.communicate()


def _run(client: str, crowd: Crowd, port: int, image: Path) -> UploadCost:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    arguments = [client, str(crowd.bmcs), str(port), str(image)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.uploaders", *arguments])
    watch = _Watch(process.pid)
    status, seconds = process.wait(), time.monotonic() - began
    memory, after = watch.most(), resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        raise RuntimeError(f"{client} failed with {status}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    slowest = seconds / crowd.seconds
    return UploadCost(client, crowd.bmcs, crowd.mib, seconds, slowest, 1000 * cpu / crowd.bmcs, memory)


class _Watch:
    """The memory of a process and its children, now and then."""

    def __init__(self, pid: int) -> None:
        self._most = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def most(self) -> float:
        self._over.set()
        self._thread.join()
        return self._most

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self._most = max(self._most, sum(_own(pid) for pid in processes.tree(self._pid)))


def _own(pid: int) -> float:
    """MiB that are no file's; 0 of a process that is gone."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1]) / 1024
    return 0.0
