# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that owns a disposable libvirtd's namespaces; rig.libvirtd starts it as a program of its own.

It lives in a mount namespace of its own (libvirt's folders there are the rig's) and puts everything that it
starts into a PID namespace whose init dies with it. The kernel kills whatever is left in a PID namespace
without init, daemonised QEMUs included, and drops the mounts with the last process: nothing to clean up,
however the test run ended. The keeper itself ends when its standard input does, so when its owner dies.

Usage: keeper.py FOLDER keep|remove. One request a line on stdin, one answer a line on stdout:
`start OPTIONS` starts libvirtd again with these options and answers its PID (as the owner sees it).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

LIBVIRT_FOLDERS = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}

IGNORED = (signal.SIGINT, signal.SIGTERM)
"""A Ctrl-C at the terminal is the owner's to handle; the keeper ends when its standard input does."""

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def main(folder: Path, remove: bool) -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    _call("unshare", _libc.unshare(CLONE_NEWNS | CLONE_NEWPID))
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/run", "tmpfs", 0)  # also hides the host's pid files, D-Bus and firewalld from libvirtd
    os.mkdir("/run/libvirt")
    os.mkdir("/run/lock")  # /var/lock: libvirt locks a console's device there
    for name, target in LIBVIRT_FOLDERS.items():
        _mount(str(folder / name), target, None, MS_BIND)
    init = _fork_init()
    try:
        _start(folder, "virtlogd")
        for line in sys.stdin:
            request, *options = line.split()
            if request == "start":
                print(_start(folder, "libvirtd", *options), flush=True)
    finally:
        os.kill(init, signal.SIGKILL)
        _reap_all()  # init itself is only gone once its last process has been reaped
        if remove:
            shutil.rmtree(folder, ignore_errors=True)


def _fork_init() -> int:
    """The first child is the PID namespace's init: it reaps orphans at once and dies with the keeper."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            _mount("proc", "/proc", "proc", 0)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            os.closerange(0, 3)
            os.write(tell, b"1")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    if not os.read(ready, 1):
        raise RuntimeError("the PID namespace's init did not come up")
    os.close(ready)
    return pid


def _start(folder: Path, daemon: str, *options: str) -> int:
    with open(folder / "log" / f"{daemon}.out", "ab") as output:
        process = subprocess.Popen(
            [daemon, "--config", f"/etc/libvirt/{daemon}.conf", "--pid-file", f"/run/{daemon}.pid", *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True,
            preexec_fn=_default_signals,  # noqa: PLW1509 - the keeper has no threads
        )  # fmt: skip
    return process.pid


def _default_signals() -> None:
    for number in IGNORED:
        signal.signal(number, signal.SIG_DFL)


def _reap_all() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    _call(f"mount {source} on {target}", _libc.mount(*encoded, ctypes.c_ulong(flags), None))


def _call(what: str, result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), remove=sys.argv[2] == "remove")
