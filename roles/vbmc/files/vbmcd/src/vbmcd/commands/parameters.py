# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What configuration parameters have in common (22.14a, 23.1, 26.2, 28.12, 30.3): a revision, and parameter 0."""

from __future__ import annotations

from vbmcd.commands.codes import Code, CommandError

REVISION = 0x11
"""Of the parameters: 1, and no older one differs (23.2)."""
REVISION_ONLY = 0x80
SET_IN_PROGRESS = 0

COMPLETE, IN_PROGRESS = 0, 1


def claimed(present: int, wanted: int) -> int:
    """'Set in progress' after a client wrote `wanted`. 81h: another is about to write.

    A commit (2) makes nothing happen that was not done already: back to 'set complete'.
    """
    if wanted & 0x03 != IN_PROGRESS:
        return COMPLETE
    if present == IN_PROGRESS:
        raise CommandError(Code.SET_IN_PROGRESS)
    return IN_PROGRESS
