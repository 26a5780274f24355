# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPMI 2.0 over LAN, by pyghmi's client."""

from __future__ import annotations

import contextlib
import socket
import uuid
from typing import Any, Dict, List, Sequence

from ..deadline import Deadline
from ..errors import AuthFailed, BadAnswer, Busy, HwctlError, MissingLibrary, Refused, Unreachable, Unsupported
from ..target import Target
from . import base
from .base import Boot, Client

try:
    from pyghmi.exceptions import PyghmiException
    from pyghmi.ipmi.command import Command
    from pyghmi.ipmi.private.session import Session
except ImportError:
    PyghmiException = Exception
    Command = None
    Session = None

ANSWER_TIMEOUT = 10.0
"""Seconds that a BMC has to answer a request that is sent once only."""

APP = 0x06
CHASSIS = 0x00

# Chassis Control (IPMI 2.0, 28.3)
ACTIONS: Dict[str, int] = {base.OFF: 0, base.ON: 1, base.CYCLE: 2, base.RESET: 3, base.NMI: 4, base.SOFT: 5}

# Boot flags (28.13, parameter 5, data 2)
DEVICES: Dict[str, int] = {
    base.NO_OVERRIDE: 0,
    base.PXE: 1,
    base.DISK: 2,
    base.CDROM: 5,
    base.SETUP: 6,
    base.REMOVABLE: 15,
}
VALID, PERSISTENT, EFI = 0x80, 0x40, 0x20

PRIVILEGES: Dict[str, int] = {"user": 2, "operator": 3, "administrator": 4}

# Completion codes (5.2) and what they mean to a caller
BUSY_CODES = (0xC0, 0xC3)
NO_SUCH_CODES = (0xC1, 0xC2, 0x80)


class IpmiClient(Client):
    """A session, logged in. Raises MissingLibrary, Unreachable or AuthFailed when it can't be."""

    def __init__(self, target: Target, deadline: Deadline) -> None:
        if Command is None:
            raise MissingLibrary("pyghmi")
        self._deadline = deadline
        try:
            # Bytes, since pyghmi forgets a session under the name that it encoded: given text, it hands out the ended
            # session of an earlier login again.
            self._command = Command(
                bmc=target.address,
                port=target.port,
                userid=target.username.encode(),
                password=target.password.encode(),
                kg=None if target.kg is None else target.kg.encode(),
                privlevel=PRIVILEGES[target.privilege],
                keepalive=False,
            )
        except (PyghmiException, OSError) as error:
            raise _login_failure(error, target) from None
        self._session = self._command.ipmi_session

    def power(self) -> str:
        """Get Chassis Status (28.2)."""
        return base.ON if self._read(CHASSIS, 0x01)[0] & 1 else base.OFF

    def set_power(self, action: str) -> None:
        """Chassis Control (28.3)."""
        self._once(CHASSIS, 0x02, (ACTIONS[action],))

    def boot(self) -> Boot:
        """Get System Boot Options (28.13), parameter 5."""
        data = self._read(CHASSIS, 0x09, (5, 0, 0))
        if len(data) < 4:
            raise BadAnswer("the BMC's boot flags are too short")
        flags, device = data[2], data[3] >> 2 & 0x0F
        if data[1] & 0x80 or not flags & VALID:
            return Boot()
        names = {number: name for name, number in DEVICES.items()}
        return Boot(names.get(device, f"device {device}"), bool(flags & PERSISTENT), bool(flags & EFI))

    def set_boot(self, boot: Boot) -> None:
        """Set System Boot Options (28.12), parameter 5. No override clears the valid bit."""
        flags = 0
        if boot.device != base.NO_OVERRIDE:
            flags = VALID | (PERSISTENT if boot.persistent else 0) | (EFI if boot.efi else 0)
        self._once(CHASSIS, 0x08, (5, flags, DEVICES[boot.device] << 2, 0, 0, 0))

    def info(self) -> Dict[str, Any]:
        """Get Device ID (20.1) and Get System GUID (22.14)."""
        data = self._read(APP, 0x01)
        if len(data) < 11:
            raise BadAnswer("the BMC's device id is too short")
        found: Dict[str, Any] = {
            "firmware_version": f"{data[2] & 0x7F}.{data[3]:02x}",
            "manufacturer_id": int.from_bytes(bytes(data[6:9]), "little"),
            "product_id": int.from_bytes(bytes(data[9:11]), "little"),
            "ipmi_version": f"{data[4] & 0x0F}.{data[4] >> 4}",
        }
        with contextlib.suppress(HwctlError):  # not every BMC has one
            found["uuid"] = _guid(self._read(APP, 0x37))
        return found

    def close(self) -> None:
        # The BMC ends a session by itself that could not be.
        with contextlib.suppress(PyghmiException, OSError, AttributeError):
            self._session.logout()

    def _read(self, netfn: int, command: int, data: Sequence[int] = ()) -> List[int]:
        """A request that changes nothing; pyghmi sends it again when no answer comes."""
        try:
            return _data(self._session.raw_command(netfn, command, data=data))
        except (PyghmiException, OSError) as error:
            raise Unreachable(f"the BMC stopped answering ({error})") from None

    def _once(self, netfn: int, command: int, data: Sequence[int]) -> None:
        """A request that changes something: sent once, since a BMC may carry out each copy."""
        answers: List[Dict[str, Any]] = []
        wait = self._deadline.at_most(ANSWER_TIMEOUT)
        try:
            self._session.raw_command(netfn, command, data=data, retry=False, callback=answers.append)
            while not answers and not wait.passed:
                Session.wait_for_rsp(timeout=min(0.5, wait.left))
        except (PyghmiException, OSError) as error:
            raise Unreachable(f"the BMC stopped answering ({error})") from None
        finally:
            # What pyghmi does itself after a call without callback: the next command may go.
            self._session.incommand = False
            while self._session.evq:
                self._session.evq.popleft().set()
        if not answers:
            raise Unreachable("no answer came: it may have been carried out all the same")
        _data(answers[0])


def _data(answer: Dict[str, Any]) -> List[int]:
    """The data of an answer. Raises what its completion code means."""
    code = answer.get("code", 0)
    if not code and "error" not in answer:
        return list(answer["data"])
    text = f"{answer.get('error') or 'refused'} (completion code {code:02X}h)"
    if code == 0xFFFF:
        raise Unreachable("the BMC stopped answering")
    if code in BUSY_CODES:
        raise Busy(f"the BMC is busy: {text}")
    if code in NO_SUCH_CODES:
        raise Unsupported(f"the BMC can't do that: {text}")
    raise Refused(f"the BMC refused: {text}")


def _login_failure(error: Exception, target: Target) -> HwctlError:
    """pyghmi tells by text alone; no text at all is a time-out."""
    where = f"{target.address} port {target.port}"
    if isinstance(error, socket.gaierror):
        return Unreachable(f"the name {target.address} can't be resolved: {error.strerror}")
    text = str(error)
    if text in ("", "None", "timeout"):
        return Unreachable(f"nothing answers IPMI on {where}: check the address, the port and the network")
    if "password" in text.lower() or "name" in text.lower() or "rakp" in text.lower() or "privilege" in text.lower():
        return AuthFailed(f"the BMC on {where} refused the login ({text}): check user name, password and privilege")
    if "resources" in text.lower():
        return Busy(f"the BMC on {where} has no session left ({text})")
    return Unreachable(f"the BMC on {where} did not let in ({text})")


def _guid(data: Sequence[int]) -> str:
    """Sent with its least significant byte first (20.8)."""
    if len(data) < 16:
        raise BadAnswer("the BMC's GUID is too short")
    return str(uuid.UUID(bytes=bytes(data[15::-1])))
