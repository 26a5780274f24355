# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPMI 2.0 over LAN, by pyghmi's client. All of pyghmi runs in one thread, `pyghmi_thread`."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
import weakref
from concurrent.futures import Future
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..deadline import Deadline
from ..errors import (
    AuthFailed,
    BadAnswer,
    Busy,
    FellSilent,
    HwctlError,
    MissingLibrary,
    NoAnswer,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
)
from ..target import Target
from . import base
from .base import Boot, Client
from .pyghmi_mends import release
from .pyghmi_thread import THREAD, settle

try:
    from pyghmi.ipmi.command import Command
    from pyghmi.ipmi.private.util import get_ipmi_error
except ImportError:
    Command = None
    get_ipmi_error = None

LOGIN_TIMEOUT = 30.0
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
    """A session, logged in. Raises MissingLibrary, Unreachable, AuthFailed or Busy when it can't be."""

    def __init__(self, target: Target, deadline: Deadline) -> None:
        if Command is None:
            raise MissingLibrary("pyghmi")
        self._target = target
        self._deadline = deadline
        self._session: Any = None
        self._turn: Optional[threading.Lock] = _turn(target)
        left = deadline.left
        if not self._turn.acquire(timeout=-1 if left == float("inf") else left):
            raise TimedOut("another target of the same BMC and user took all the time")
        try:
            self._login(_resolved(target))
        except Exception:  # pyghmi's own too: whoever waits for a turn has to get it
            self.close()
            raise

    def power(self) -> str:
        """Get Chassis Status (28.2)."""
        return base.ON if self._repeatable(CHASSIS, 0x01)[0] & 1 else base.OFF

    def set_power(self, action: str) -> None:
        """Chassis Control (28.3)."""
        self._once(CHASSIS, 0x02, (ACTIONS[action],))

    def boot(self) -> Boot:
        """Get System Boot Options (28.13), parameter 5."""
        data = self._repeatable(CHASSIS, 0x09, (5, 0, 0))
        if len(data) < 4:
            raise BadAnswer("the BMC's boot flags are too short")
        flags, device = data[2], data[3] >> 2 & 0x0F
        if data[1] & 0x80 or not flags & VALID:
            return Boot()
        names = {number: name for name, number in DEVICES.items()}
        return Boot(names.get(device, f"device {device}"), bool(flags & PERSISTENT), bool(flags & EFI))

    def set_boot(self, boot: Boot) -> None:
        """Set System Boot Options (28.12), parameters 3 and 5. No override clears the valid bit."""
        # Or the BMC forgets the flags when no Chassis Control comes within 60 s (parameter 3, bit 3).
        with contextlib.suppress(Unsupported, Refused):
            self._repeatable(CHASSIS, 0x08, (3, 0x08))
        flags = 0
        if boot.device != base.NO_OVERRIDE:
            efi = self.boot().efi if boot.efi is None else boot.efi
            flags = VALID | (PERSISTENT if boot.persistent else 0) | (EFI if efi else 0)
        self._repeatable(CHASSIS, 0x08, (5, flags, DEVICES[boot.device] << 2, 0, 0, 0))

    def info(self) -> Dict[str, Any]:
        """Get Device ID (20.1) and Get System GUID (22.14)."""
        data = self._repeatable(APP, 0x01)
        if len(data) < 11:
            raise BadAnswer("the BMC's device id is too short")
        found: Dict[str, Any] = {
            "firmware_version": f"{data[2] & 0x7F}.{data[3]:02x}",
            "manufacturer_id": int.from_bytes(bytes(data[6:9]), "little"),
            "product_id": int.from_bytes(bytes(data[9:11]), "little"),
            "ipmi_version": f"{data[4] & 0x0F}.{data[4] >> 4}",
        }
        with contextlib.suppress(HwctlError):  # not every BMC has one
            found["uuid"] = _guid(self._repeatable(APP, 0x37))
        return found

    def close(self) -> None:
        self._end()
        if self._turn is not None:
            self._turn.release()
            self._turn = None

    def _end(self) -> None:
        """End the session. The BMC ends one by itself that could not be ended."""
        if self._session is None:
            return
        session, self._session = self._session, None

        def logout(future: Future[Any]) -> None:
            release(session)  # or it waits for an answer that it has not got, and all other sessions with it
            session.logout()
            settle(future, None)

        with contextlib.suppress(Exception):
            THREAD.ask(logout, 2.0)

    def _login(self, address: str) -> None:
        target = self._target

        def login(future: Future[Any]) -> None:
            # Bytes, since pyghmi forgets a session under the name that it encoded: given text, it hands out the ended
            # session of an earlier login again.
            Command(
                bmc=address,
                port=target.port,
                userid=target.username.encode(),
                password=target.password.encode(),
                kg=None if target.kg is None else target.kg.encode(),
                privlevel=PRIVILEGES[target.privilege],
                keepalive=False,
                onlogon=lambda answer, command: settle(future, (answer, command)),
            )

        answer: Dict[str, Any]
        answer, command = THREAD.ask(login, min(LOGIN_TIMEOUT, self._deadline.left))
        if "error" in answer:
            # Known once it has answered the first request of a login; pyghmi keeps no other trace of an answer.
            heard = hasattr(getattr(command, "ipmi_session", None), "currentchannel")
            raise _login_failure(str(answer.get("error")), target, heard)
        self._session = command.ipmi_session

    def _ready(self) -> None:
        """Log in anew where the BMC was away, or a request was given up."""
        if self._session is not None and self._session.logged:
            return
        try:
            self._login(_resolved(self._target))
        except NoAnswer as error:
            raise Unreachable(str(error)) from None  # it was there once, and may be again

    def _repeatable(self, netfn: int, command: int, data: Sequence[int] = ()) -> List[int]:
        """A request that does no harm twice; pyghmi sends it again when no answer comes."""
        self._ready()
        try:
            return self._asked(netfn, command, data, again=True)
        except NoAnswer:
            raise FellSilent("the BMC stopped answering") from None

    def _once(self, netfn: int, command: int, data: Sequence[int]) -> None:
        """A request that is sent once, since a BMC may carry out each copy."""
        self._ready()
        try:
            self._asked(netfn, command, data, again=False)
        except NoAnswer:
            raise Unreachable("no answer came: it may have been carried out all the same") from None

    def _asked(self, netfn: int, command: int, data: Sequence[int], again: bool) -> List[int]:
        session = self._session

        def send(future: Future[Any]) -> None:
            def answered(answer: Dict[str, Any]) -> None:
                release(session)
                settle(future, answer)

            session.raw_command(netfn, command, data=data, retry=again, callback=answered)

        try:
            answer: Optional[Dict[str, Any]] = THREAD.ask(send, min(ANSWER_TIMEOUT, self._deadline.left))
        except NoAnswer:
            self._end()
            raise
        except Exception as error:  # pyghmi's own, for a session that is over
            raise Unreachable(f"the session with the BMC broke ({error})") from None
        if not answer:
            raise Unreachable("the session with the BMC broke")
        return _data(answer)


_turns: weakref.WeakValueDictionary[Tuple[object, ...], threading.Lock] = weakref.WeakValueDictionary()
_turns_lock = threading.Lock()


def _turn(target: Target) -> threading.Lock:
    """Held by who has a session: to another of the same BMC and user pyghmi gives the first one's, and its answers."""
    key = (target.address, target.port, target.username, target.password, target.kg)
    with _turns_lock:
        lock = _turns.get(key)
        if lock is None:
            lock = _turns[key] = threading.Lock()
        return lock


def _data(answer: Dict[str, Any]) -> List[int]:
    """The data of an answer. Raises what its completion code means."""
    error, code = get_ipmi_error(answer), answer.get("code", 0)
    if not error:
        return list(answer["data"])
    text = f"{error} (completion code {code:02X}h)"
    if code == 0xFFFF:
        raise FellSilent("the BMC stopped answering")
    if code in BUSY_CODES:
        raise Busy(f"the BMC is busy: {text}")
    if code in NO_SUCH_CODES:
        raise Unsupported(f"the BMC can't do that: {text}")
    raise Refused(f"the BMC refused: {text}")


def _login_failure(text: str, target: Target, heard: bool) -> HwctlError:
    """pyghmi tells by text alone; no text at all is a time-out. `heard`: the BMC has answered something."""
    where, words = f"{target.address} port {target.port}", text.lower()
    silent = words in ("", "none", "timeout", "session failed to initialize")
    if silent and heard:
        return FellSilent(
            f"the BMC on {where} answers, but not to the login: check the user name, of which some BMCs say nothing, "
            "and the network, which may lose packets"
        )
    if silent:
        return NoAnswer(f"nothing answers IPMI on {where}: check the address, the port and the network")
    if "resources" in words:
        return Busy(f"the BMC on {where} has no session left ({text})")
    if any(word in words for word in ("cipher", "algorithm", "integrity payload")):
        return Unsupported(
            f"the BMC on {where} takes no cipher suite that pyghmi has ({text}): allow suite 17 or 3 there"
        )
    if any(word in words for word in ("password", "name", "rakp", "privilege", "role")):
        return AuthFailed(f"the BMC on {where} refused the login ({text}): check user name, password and privilege")
    return Unreachable(f"the BMC on {where} did not let in ({text})")


def _resolved(target: Target) -> str:
    """The address in digits, looked up in the node's own thread: a slow name server holds up nobody else."""
    try:
        found = socket.getaddrinfo(target.address, target.port, type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise Unreachable(f"the name {target.address} can't be resolved: {error.strerror}") from None
    return str(found[0][4][0])


def _guid(data: Sequence[int]) -> str:
    """Sent with its least significant byte first (20.8)."""
    if len(data) < 16:
        raise BadAnswer("the BMC's GUID is too short")
    return str(uuid.UUID(bytes=bytes(data[15::-1])))
