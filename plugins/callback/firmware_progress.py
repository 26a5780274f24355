# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: firmware_progress
type: notification
short_description: Shows how far a firmware update is
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - While M(baremetal.lab.firmware) runs on the controller, follows the journal of its run and shows how many BMCs are
    done and what the others are at, with the rate of the uploads and the time that is left.
  - Where each host updates its own BMC, there are as many runs, and they are shown as one.
  - On a terminal that is a line that is written anew, elsewhere a line now and then.
requirements:
  - to be enabled, with C(callbacks_enabled=baremetal.lab.firmware_progress) in C(ansible.cfg)
options:
  journal_dir:
    description:
      - The folder of journals, where the task has an O(baremetal.lab.firmware#module:journal_dir) of its own.
    type: path
    env:
      - name: BAREMETAL_LAB_FIRMWARE_JOURNALS
    ini:
      - section: callback_firmware_progress
        key: journal_dir
  interval:
    description:
      - Seconds between two lines where there is no terminal.
    type: float
    default: 10
    env:
      - name: BAREMETAL_LAB_FIRMWARE_INTERVAL
    ini:
      - section: callback_firmware_progress
        key: interval
"""

import os
import sys
import threading
import time
from typing import Any, Optional

from ansible.plugins.callback import CallbackBase

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.journal import default_folder
from ansible_collections.baremetal.lab.plugins.plugin_utils.firmware_progress import Progress
from ansible_collections.baremetal.lab.plugins.plugin_utils.journal_tail import JournalTail

ACTIONS = ("baremetal.lab.firmware", "firmware")
LOOK = 0.1
"""Seconds between two looks at the journals."""
CLEAR = "\x1b[J"
UP = "\x1b[1A"
"""Of a terminal: what comes after the cursor is blank; the cursor goes up a line."""


class CallbackModule(CallbackBase):
    """In the controller's main process, since module workers own no terminal."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "baremetal.lab.firmware_progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None, options: Any = None) -> None:
        super().__init__(display=display, options=options)
        self._follower: Optional[_Follower] = None

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._end()
        if task.action in ACTIONS:
            folder = self.get_option("journal_dir") or default_folder()
            self._follower = _Follower(folder, float(self.get_option("interval")), self._display)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._told()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._told()

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._told()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end()

    def _told(self) -> None:
        """The result of a host was shown, and other hosts may have a way to go."""
        if self._follower is not None:
            self._follower.make_way()

    def _end(self) -> None:
        if self._follower is not None:
            self._follower.end()
            self._follower = None


class _Follower:
    """A thread that shows what journals say that were begun since."""

    def __init__(self, folder: str, interval: float, display: Any) -> None:
        self._tail = JournalTail(folder)
        self._progress = Progress()
        self._interval = interval
        self._display = display
        self._terminal = sys.stdout.isatty()
        self._shown = ("", False)
        """The line, and whether it was a last one."""
        self._shown_at = 0.0
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="firmware-progress", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def make_way(self) -> None:
        """What was shown by others stands where the line was: what is left of that goes."""
        with self._writing:
            if self._terminal:
                sys.stdout.write(CLEAR)
                sys.stdout.flush()
            self._look_now(last=False)

    def _follow(self) -> None:
        while not self._over.wait(LOOK):
            with self._writing:
                self._look_now(last=False)
        with self._writing:
            self._look_now(last=True)

    def _look_now(self, last: bool) -> None:
        for record in self._tail.more():
            self._progress.feed(record)
        line, final = self._progress.line(), last or self._progress.settled
        if not self._progress.begun or (line, final or self._shown[1]) == self._shown:
            return
        if self._terminal:
            width = os.get_terminal_size(sys.stdout.fileno()).columns or 80
            # Below an empty line, in which the cursor waits: what Ansible shows meanwhile begins there.
            sys.stdout.write(f"{CLEAR}{line}\n" if final else f"{CLEAR}\n{line[: width - 1]}{UP}\r")
            sys.stdout.flush()
        elif final or time.monotonic() - self._shown_at >= self._interval:
            self._display.display(line)
            self._shown_at = time.monotonic()
        else:
            return
        self._shown = (line, final)
