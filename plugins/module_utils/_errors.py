# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that reaches a person through a module's fail_json."""

from __future__ import annotations


class LabError(Exception):
    """The message names the thing and the remedy."""
