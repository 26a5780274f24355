# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with one BMC. The class is the word that a result carries; the message names the remedy."""

from __future__ import annotations


class HwctlError(Exception):
    """Something that one node failed with."""

    kind = "error"
    safe_to_retry = False
    """Whether asking again may help, and can't do harm where the request only reads."""
    retry_after = 0.0
    """Seconds after which the BMC wants to be asked again, where it said so."""


class BadRequest(HwctlError):
    """What was asked makes no sense, whatever the BMC."""

    kind = "invalid"


class MissingLibrary(HwctlError):
    """A Python library that a protocol needs is not there."""

    kind = "missing-library"

    def __init__(self, library: str) -> None:
        super().__init__(f"the Python library {library} is missing where this runs: install it, with pip say")
        self.library = library


class Unreachable(HwctlError):
    """Nothing answered in time, or the connection broke."""

    kind = "unreachable"
    safe_to_retry = True


class NoAnswer(Unreachable):
    """Nothing answered, however often it was asked: no use in asking again."""

    safe_to_retry = False


class FellSilent(Unreachable):
    """It had answered something before: worth asking again, however long it was waited for."""


class InDoubt(Unreachable):
    """A change was sent, and no answer says whether it was made: read the state before anything is sent again."""

    safe_to_retry = False


class AuthFailed(HwctlError):
    """The BMC refused user name or password."""

    kind = "auth"


class TlsFailed(HwctlError):
    """The BMC's certificate is not one to trust."""

    kind = "tls"


class Busy(HwctlError):
    """The BMC can't answer just now and says so."""

    kind = "busy"
    safe_to_retry = True


class Refused(HwctlError):
    """The BMC understood, and said no."""

    kind = "refused"


class Unsupported(HwctlError):
    """The BMC, or the protocol, has no such thing."""

    kind = "unsupported"


class BadAnswer(HwctlError):
    """The BMC answered what its protocol does not allow."""

    kind = "bad-answer"


class NotReached(HwctlError):
    """The BMC took the request, but the wanted state was not seen in time."""

    kind = "not-reached"


class TimedOut(HwctlError):
    """The time for this node, or for the whole run, was over."""

    kind = "timeout"


class Cancelled(HwctlError):
    """The run was called off before this node was done."""

    kind = "cancelled"


class Locked(HwctlError):
    """Another run works on the BMC."""

    kind = "locked"


class AlreadyThere(InDoubt):
    """The BMC has an image of the version that it was sent, and takes no second one."""


class CalledOff(HwctlError):
    """Too many others failed: this node is left as it is. It is skipped, and has not failed."""

    kind = "skipped"


class ActivationFailed(HwctlError):
    """The BMC took an image, and then could not make it one that boots."""

    kind = "activation"


class HostKeyFailed(HwctlError):
    """The BMC's ssh host key is not one to trust."""

    kind = "host-key"
