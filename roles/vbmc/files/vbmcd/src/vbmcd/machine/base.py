# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC asks of the machine behind it, whatever that machine is.

Command handlers see this interface alone, so that another backend than libvirt is one more file, and a
handler's test needs no libvirt. Every coroutine returns or raises within a second: a backend that takes
longer raises :class:`Busy`, because IPMI clients send again after about that time.
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass
from typing import BinaryIO, Callable, NamedTuple, Optional, Protocol, Sequence, Tuple


class Action(enum.Enum):
    """What Chassis Control can ask for (IPMI 2.0, 28.3), and Redfish beside it; the value is the audit log's word."""

    OFF = "off"
    ON = "on"
    CYCLE = "cycle"
    RESET = "reset"
    DIAGNOSTIC = "diag"
    SOFT = "soft"
    PAUSE = "pause"
    RESUME = "resume"


class BootDevice(enum.Enum):
    """Boot devices that a virtual machine can honour (IPMI 2.0, table 28-14); libvirt's own words."""

    NETWORK = "network"
    DISK = "hd"
    CDROM = "cdrom"
    FLOPPY = "fd"


@dataclass(frozen=True)
class BootOverride:
    """A wanted boot device: for the next start only, or persistent; by EFI firmware, or as configured."""

    device: BootDevice
    persistent: bool = False
    efi: bool = False


@dataclass(frozen=True)
class Statistics:
    """How busy the machine is, as a mean over the last second or more. None: not known, or the machine is off."""

    cpu_percent: Optional[float] = None
    """Of all of its processors."""
    memory_percent: Optional[float] = None
    """What the guest says that it uses of its memory."""
    resident_percent: Optional[float] = None
    """What the host has to have in memory for it."""
    disk_read: Optional[float] = None
    disk_written: Optional[float] = None
    net_received: Optional[float] = None
    net_transmitted: Optional[float] = None
    """Bytes a second, over all disks and all interfaces."""


@dataclass(frozen=True)
class Disk:
    """A disk or a drive of a machine."""

    name: str
    """Its name on the machine's bus, such as vda."""
    device: str
    """disk, lun, cdrom or floppy."""
    bus: str
    capacity: Optional[int]
    """Bytes; None where there is nothing in it, or it is not known."""
    serial: str = ""
    loaded: bool = True
    """Whether there is a medium in it."""


@dataclass(frozen=True)
class NetworkInterface:
    """A network interface of a machine."""

    mac: str
    model: str
    up: bool
    mtu: Optional[int] = None


@dataclass(frozen=True)
class Hardware:
    """What a machine is made of."""

    processors: int = 1
    """Threads, as a system counts them."""
    cores: int = 1
    processor_model: str = ""
    architecture: str = ""
    memory: int = 0
    """Bytes."""
    disks: Tuple[Disk, ...] = ()
    interfaces: Tuple[NetworkInterface, ...] = ()
    efi: bool = False
    boot_order: Tuple[str, ...] = ()
    """Names of disks and MAC addresses of interfaces, first to boot first; or libvirt's words for kinds of them. As it
    starts next, without an override."""
    boot_devices: Tuple[str, ...] = ()
    """The same, in an order that stays when the boot order changes."""
    console: bool = False
    """Whether it has a serial console."""
    paused: bool = False
    """Whether it stands still, with power."""
    autostart: Optional[bool] = None
    """Whether it starts with its host, whatever it was before; None where that is not known."""


class SecureBoot(NamedTuple):
    """Whether a machine boots signed software alone: from its next start on, and now."""

    enabled: bool
    current: bool


class Power(NamedTuple):
    """Whether a machine has power, and in which of its runs."""

    on: bool
    run: int = 0
    """Another number for each start, as long as its host is up."""
    machine: str = ""
    """Which machine it is, should another one have taken its name. Neither means anything of one that is off."""


class PowerObserver(Protocol):
    """Who wants to know of a machine's power. Called on the event loop."""

    def switched(self, power: Power) -> None:
        """The machine was switched on or off, by whomever."""

    def commanded(self, failures: Tuple[str, ...]) -> None:
        """A power command on a machine of several parts has ended: what failed and why, each as 'part: reason'.

        Without failures only after one with some.
        """

    def found(self, power: Power) -> None:
        """So it is, after nobody looked for a while: the observer is new, or the backend was away."""


class MachineError(Exception):
    """Base of what a machine may answer instead of doing; the message is for the log."""


class Busy(MachineError):
    """The backend is away, frozen or too slow: node busy (C0h); asking again later may work."""


class WrongState(MachineError):
    """Not possible in the machine's present state, or there is no such machine (D5h)."""


class GroupFailed(WrongState):
    """Parts of a machine did not do what it did; `failures` has 'part: reason' of each."""

    def __init__(self, message: str, failures: Tuple[str, ...]) -> None:
        super().__init__(message)
        self.failures = failures


class Unsupported(MachineError):
    """This machine can never do that: a device or firmware that it has not (CCh)."""


class SerialConsole(Protocol):
    """A machine's serial console while it is open. Stays open when the machine stops, and goes on once it starts."""

    @property
    def connected(self) -> bool:
        """Whether characters go to and from the machine now."""

    @property
    def room(self) -> int:
        """How many characters write() takes."""

    def write(self, data: bytes) -> None:
        """Have characters typed."""

    def send_break(self) -> None:
        """Put a break on the line, after what was typed before it and before what comes after."""

    def close(self) -> None:
        """No output after this."""


class Machine(Protocol):
    """One machine. Implementations raise nothing but :class:`MachineError`."""

    async def is_on(self) -> bool:
        """Whether the machine has power now. A paused one has. Reads its own writes."""

    async def control(self, action: Action, boot: Optional[BootOverride] = None) -> bool:
        """Do `action`; return once it is done or, where that takes longer, once it is accepted.

        OFF on a machine that is off, and ON on one that is on, do nothing. The other actions raise
        WrongState on a machine that is off. `boot` is the pending override; an action that (re)starts
        the machine honours it, and the result says whether it was used.
        """

    async def check_boot(self, boot: BootOverride) -> None:
        """Raise Unsupported if the machine has no such device or firmware; change nothing."""

    async def set_persistent_boot(self, boot: BootOverride) -> None:
        """Put the device first in the machine's own definition and keep the rest as fallback.

        Never starts, stops or resets anything. From the next start on; control() knows that a reset
        of a running machine has to become off and on for it to count.
        """

    async def set_boot_order(self, names: Sequence[str]) -> None:
        """Boot from what is in `Hardware.boot_order` in this order, from the next start on."""

    async def set_autostart(self, on: bool) -> None:
        """Whether the machine is to start when its hypervisor does. Changes nothing now."""

    def open_console(self, on_output: Callable[[bytes], None]) -> SerialConsole:
        """Open the serial console, in the background; `on_output` gets what the machine writes."""

    async def system_uuid(self) -> uuid.UUID:
        """The machine's UUID, which Get System GUID reports (IPMI 2.0, 22.14)."""

    async def statistics(self) -> Statistics:
        """How busy the machine is; kept for a second, however many ask. Nothing is known of one that is off."""

    async def hardware(self) -> Hardware:
        """What the machine is made of; kept until it may have changed."""

    async def secure_boot(self) -> SecureBoot:
        """Raises Unsupported for a machine that does not boot by EFI."""

    async def set_secure_boot(self, on: bool) -> None:
        """From the next start on. Raises Unsupported where there is no firmware for it."""

    async def medium(self) -> Optional[str]:
        """The path of what is in the CD drive; None for an empty one. Raises Unsupported where there is no drive."""

    async def change_medium(self, path: Optional[str]) -> None:
        """Have that file of the machine's host in the drive, write-protected, or nothing: now and at later starts."""

    async def store_medium(self, pool: str, name: str, content: BinaryIO, size: int) -> str:
        """Keep `content` where the machine's host can use it, in place of what has that name; the path of it.

        Takes as long as it takes, unlike all else.
        """

    async def discard_medium(self, pool: str, name: str) -> None:
        """Forget what was kept by that name."""

    def observe(self, observer: PowerObserver) -> None:
        """Have `observer` told of the machine's power. One observer, for as long as the machine is there."""

    def host_run(self) -> str:
        """Names the time that the machine's host has been up, from one start to the next; empty where it is another
        host than this one, of which that is not known."""
