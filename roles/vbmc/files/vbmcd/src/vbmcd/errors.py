# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that reach a person: each message names the thing and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional


class VbmcError(Exception):
    """Base of every error that is shown to a user.

    ``code`` is a stable word for programs (it travels over the control socket), ``instance`` the name of
    the instance that the error is about, if it is about one.
    """

    code = "error"

    def __init__(self, message: str, *, instance: Optional[str] = None) -> None:
        super().__init__(message)
        self.instance = instance


class InvalidRequest(VbmcError):
    """A request, option or document that can't be understood or is not allowed."""

    code = "invalid"


class Conflict(VbmcError):
    """Two instances want what only one can have, or a name is taken."""

    code = "conflict"


class NotFound(VbmcError):
    """No instance of that name."""

    code = "not-found"


class StateError(VbmcError):
    """The state folder, or a file in it, can't be read or written."""

    code = "state"


class DaemonUnavailable(VbmcError):
    """No daemon answers on the control socket."""

    code = "unavailable"


class Refused(VbmcError):
    """Several things are wrong with one request; ``errors`` has each, the message has the first."""

    def __init__(self, errors: Sequence[VbmcError]) -> None:
        first, others = errors[0], len(errors) - 1
        more = "" if not others else f" (and {others} more)"
        super().__init__(f"{first}{more}", instance=first.instance)
        self.errors = tuple(errors)
        self.code = first.code if len({error.code for error in errors}) == 1 else InvalidRequest.code


def refusal(errors: Sequence[VbmcError]) -> VbmcError:
    """What to raise for `errors` (at least one): the error itself, or all of them as one."""
    return errors[0] if len(errors) == 1 else Refused(errors)
