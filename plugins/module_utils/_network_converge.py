# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing networks to what is wanted: plan, and unless it is check mode carry out.

Called by the module ``network``. What running guests are on is never taken from under them: what libvirt can't change
while they run waits until the network is next started, and is told.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence
from urllib.parse import urlparse

from ansible_collections.baremetal.lab.plugins.module_utils import _network_definition as definition
from ansible_collections.baremetal.lab.plugins.module_utils import _network_leftover as leftover
from ansible_collections.baremetal.lab.plugins.module_utils._domain_merge import Difference
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError
from ansible_collections.baremetal.lab.plugins.module_utils._libvirt import is_error, libvirt, reason
from ansible_collections.baremetal.lab.plugins.module_utils._xml import text_of

ABSENT, ACTIVE, INACTIVE = "absent", "active", "inactive"

_IN_THE_WAY = ("File exists", "already in use by interface")
"""Of libvirt's messages, when a bridge or an address is there already."""


@dataclass
class Outcome:
    """What became of one network, or would."""

    name: str
    uuid: Optional[str] = None
    state: str = ABSENT
    bridge: Optional[str] = None
    actions: List[str] = field(default_factory=list)
    differences: List[Difference] = field(default_factory=list)
    restart_required: List[str] = field(default_factory=list)
    """Options that hold when the network is next started."""
    users: List[str] = field(default_factory=list)
    error: Optional[str] = None
    before: str = ""
    after: str = ""
    warnings: List[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.actions)

    def document(self) -> Dict[str, Any]:
        """As plain values, for the module's result."""
        result = asdict(self)
        for key in ("before", "after", "warnings"):
            del result[key]
        return {**result, "changed": self.changed}

    def diff(self) -> List[Dict[str, Any]]:
        """For Ansible's diff mode: the definition, and what is done."""
        if not self.changed:
            return []
        header = "network %s" % self.name
        parts = {"before_header": header, "after_header": header, "before": self.before, "after": self.after}
        return [{**parts, "prepared": "".join("%s: %s\n" % (self.name, action) for action in self.actions)}]


class Converger:
    """One task's work. `run` runs a command on the host, as AnsibleModule.run_command does."""

    def __init__(self, connection: Any, check: bool, run: leftover.Run) -> None:
        self._connection = connection
        self._check = check
        self._run = run
        self._local = urlparse(connection.getURI()).hostname is None
        """Whether the host that this runs on is libvirt's, so that its interfaces can be looked at."""

    def converge(self, requests: Sequence[Mapping[str, Any]]) -> List[Outcome]:
        outcomes = []
        for request in requests:
            outcome = Outcome(request["name"])
            outcomes.append(outcome)
            try:
                self._one(request, outcome)
            except (LabError, libvirt.libvirtError) as error:
                outcome.error = _told(outcome.name, error)
                with suppress(libvirt.libvirtError):
                    self._observe(self._find(outcome.name), outcome)
        return outcomes

    def _one(self, request: Mapping[str, Any], outcome: Outcome) -> None:
        network = self._find(request["name"])
        if request["state"] == ABSENT:
            self._remove(request, network, outcome)
            return
        stored = None if network is None else ET.fromstring(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
        wish = self._merged(request, stored, outcome)
        if request["state"] == ACTIVE:
            self._require_bridge(definition.read(wish), outcome)
        if outcome.differences or stored is None:
            if not self._check:
                network = self._define(wish, outcome.name)
            outcome.actions.append("define")
        self._bring_to_state(request, network, wish, outcome)
        self._set_autostart(request, network, outcome)
        if self._check or network is None:
            _foresee(network, wish, outcome)
        else:
            self._observe(network, outcome)

    def _do(self, outcome: Outcome, action: str, work: Callable[[], Any]) -> None:
        """Do it, or in check mode only say so."""
        if not self._check:
            work()
        outcome.actions.append(action)

    def _find(self, name: str) -> Any:
        try:
            return self._connection.networkLookupByName(name)
        except libvirt.libvirtError as error:
            if is_error(error, "NO_NETWORK"):
                return None
            raise

    # --- The definition ----------------------------------------------------------------------------------------------

    def _merged(self, request: Mapping[str, Any], stored: Optional[ET.Element], outcome: Outcome) -> ET.Element:
        """The definition that there is to be; fills in the outcome's differences and diff."""
        if stored is None:
            settings = definition.wanted(outcome.name, request, None)
            wish = definition.overlay(definition.new(outcome.name, request["uuid"]), settings)
            outcome.differences = definition.Settings().differences(settings)
            outcome.after = text_of(wish)
            return wish
        current = definition.read(stored)
        foreign = request["uuid"] is not None and stored.findtext("uuid") != request["uuid"]
        if foreign and not request["adopt"]:
            asked = current.differences(definition.wanted(outcome.name, request, None))
            spoken_of = [difference for difference in asked if request.get(difference.path)]
            if spoken_of:
                outcome.warnings.append(_not_ours(outcome.name, spoken_of))
            return stored
        settings = definition.wanted(outcome.name, request, current)
        outcome.differences = differences = current.differences(settings)
        if not differences:
            return stored
        wish = definition.overlay(stored, settings)
        outcome.before, outcome.after = text_of(stored), text_of(wish)
        return wish

    def _define(self, wish: ET.Element, name: str) -> Any:
        try:
            return self._connection.networkDefineXML(text_of(wish))
        except libvirt.libvirtError as error:
            raise LabError(
                "libvirt does not take the definition of network '%s': %s: correct its options" % (name, reason(error))
            ) from error

    # --- The state ---------------------------------------------------------------------------------------------------

    def _bring_to_state(self, request: Mapping[str, Any], network: Any, wish: ET.Element, outcome: Outcome) -> None:
        active = network is not None and bool(network.isActive())
        if request["state"] == INACTIVE:
            if active:
                self._stop(network, outcome)
            return
        if not active:
            self._do(outcome, "start", lambda: self._create(network, outcome))
            return
        live = ET.fromstring(network.XMLDesc(0))
        pending = definition.read(live).differences(definition.read(wish))
        if not pending:
            return
        if {difference.path for difference in pending} <= definition.DHCP_RANGE:
            self._do(outcome, "update dhcp range", lambda: self._update(network, live, wish))
            return
        outcome.users = self._users(outcome.name, live)
        if outcome.users:
            outcome.restart_required = [difference.path for difference in pending]
            outcome.warnings.append(_waits(outcome))
            return
        self._do(outcome, "restart", lambda: self._restart(network, outcome))

    def _update(self, network: Any, live: ET.Element, wish: ET.Element) -> None:
        """Change the range that DHCP hands out, under running guests."""
        old, new = definition.dhcp_range(live), definition.dhcp_range(wish)
        # The new one first: without any range libvirt forgets the boot file as well.
        for element, command in (
            (new, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST),
            (old, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE),
        ):
            if element is not None:
                bare = ET.Element("range", {key: element.attrib[key] for key in ("start", "end")})
                network.update(
                    command,
                    libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE,
                    -1,
                    ET.tostring(bare, encoding="unicode"),
                    libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE,
                )

    def _restart(self, network: Any, outcome: Outcome) -> None:
        network.destroy()
        self._create(network, outcome)

    def _require_bridge(self, settings: definition.Settings, outcome: Outcome) -> None:
        """libvirt would start the network, and only its first guest would fail."""
        wanted = self._local and settings.forward == definition.BRIDGE
        if wanted and not leftover.is_bridge(settings.bridge, self._run):
            raise LabError(
                "network '%s' uses the host's bridge '%s', and there is none: make it there first, or correct bridge"
                % (outcome.name, settings.bridge)
            )

    def _create(self, network: Any, outcome: Outcome) -> None:
        """Start it; once more where what a killed libvirtd left was in the way."""
        try:
            network.create()
        except libvirt.libvirtError as error:
            if not self._local or not any(words in reason(error) for words in _IN_THE_WAY):
                raise LabError(_no_start(outcome.name, reason(error), None)) from error
            stored = ET.fromstring(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
            bridge, mac = definition.read(stored).bridge, stored.find("mac")
            found = leftover.find(outcome.name, bridge, mac.get("address", "") if mac is not None else "", self._run)
            if found is None or not found.removable:
                raise LabError(_no_start(outcome.name, reason(error), found)) from error
            trouble = leftover.remove(found, self._run)
            if trouble:
                raise LabError(_no_start(outcome.name, trouble, found)) from error
            outcome.actions.append(found.words())
            network.create()

    def _stop(self, network: Any, outcome: Outcome) -> None:
        users = self._users(outcome.name, ET.fromstring(network.XMLDesc(0)))
        if users:
            outcome.users = users
            raise LabError(
                "network '%s' stays active, for these are on it: %s: switch them off first"
                % (outcome.name, ", ".join(users))
            )
        self._do(outcome, "stop", network.destroy)

    def _set_autostart(self, request: Mapping[str, Any], network: Any, outcome: Outcome) -> None:
        wanted = request["autostart"]
        current = False if network is None else bool(network.autostart())
        if wanted is None:
            wanted = current or _is_new(outcome)
        if wanted == current:
            return
        self._do(outcome, "autostart" if wanted else "no-autostart", lambda: network.setAutostart(int(wanted)))

    # --- The rest ----------------------------------------------------------------------------------------------------

    def _remove(self, request: Mapping[str, Any], network: Any, outcome: Outcome) -> None:
        if network is None:
            return
        stored = ET.fromstring(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
        if request["uuid"] is not None and stored.findtext("uuid") != request["uuid"] and not request["adopt"]:
            raise LabError(
                "network '%s' has the uuid %s, not %s, and stays: leave the uuid out, or set adopt"
                % (outcome.name, stored.findtext("uuid"), request["uuid"])
            )
        outcome.before = text_of(stored)
        if network.isActive():
            self._stop(network, outcome)
        if network.isPersistent():
            self._do(outcome, "undefine", network.undefine)

    def _observe(self, network: Any, outcome: Outcome) -> None:
        """How the network is now."""
        if network is None:
            return
        outcome.uuid, outcome.state = network.UUIDString(), ACTIVE if network.isActive() else INACTIVE
        outcome.bridge = definition.read(ET.fromstring(network.XMLDesc(0))).bridge or None

    def _users(self, name: str, live: ET.Element) -> List[str]:
        """Running guests on the network, by name, and what else is on its bridge."""
        settings = definition.read(live)
        if settings.forward == definition.BRIDGE:
            return []  # the bridge is the host's, and nobody is cut off
        bridge = settings.bridge
        taps, users = set(), set()
        for domain in self._connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            with suppress(libvirt.libvirtError):  # gone meanwhile
                for nic in ET.fromstring(domain.XMLDesc(0)).iterfind("devices/interface"):
                    source = nic.find("source")
                    if source is None or (source.get("network") != name and source.get("bridge") != bridge):
                        continue
                    users.add(domain.name())
                    target = nic.find("target")
                    taps.add(target.get("dev") if target is not None else None)
        ports = leftover.ports(bridge, self._run) if self._local else []
        others = [port for port in ports if port not in taps]
        return sorted(users) + ["the interface %s" % port for port in others]


def _foresee(network: Any, wish: ET.Element, outcome: Outcome) -> None:
    """How the network would be."""
    outcome.uuid, outcome.bridge = wish.findtext("uuid"), definition.read(wish).bridge or None
    active = network is not None and bool(network.isActive())
    starts, stops = "start" in outcome.actions, "stop" in outcome.actions
    outcome.state = ACTIVE if starts or (active and not stops) else INACTIVE


def _told(name: str, error: Exception) -> str:
    if isinstance(error, LabError):
        return str(error)
    return "libvirt refused work on network '%s': %s: correct that and run again" % (name, reason(error))


def _is_new(outcome: Outcome) -> bool:
    return "define" in outcome.actions and not outcome.before


def _not_ours(name: str, differences: Sequence[Difference]) -> str:
    said = ", ".join("%s is %s and not %s" % (one.path, one.before, one.after) for one in differences)
    return (
        "network '%s' was there before and stays as it is (%s): give yours another name, or set adopt and it is changed"
        % (name, said)
    )


def _waits(outcome: Outcome) -> str:
    return (
        "network '%s' is defined as wanted, but %s will hold only when it is started anew, which would cut off %s: "
        "switch them off and run again" % (outcome.name, ", ".join(outcome.restart_required), ", ".join(outcome.users))
    )


def _no_start(name: str, said: str, found: Any) -> str:
    remedy = "correct that and run again"
    if found is not None and found.ports:
        remedy = (
            "a libvirtd that was killed left the bridge %s, and %s is on it: end that, then 'ip link delete %s'"
            % (
                found.bridge,
                ", ".join(found.ports),
                found.bridge,
            )
        )
    elif any(words in said for words in _IN_THE_WAY):
        remedy = (
            "an interface of the host has its bridge's name or address: give the network another bridge and address, "
            "or remove that interface ('ip link delete NAME') if nobody needs it"
        )
    return "network '%s' does not start: %s: %s" % (name, said, remedy)
