# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module `network` reads from a definition, and lays over it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.module_utils import _network_definition as definition
from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError

# As libvirt 9.0 gives it back.
STORED = """
<network>
  <name>lab</name>
  <uuid>e649ba7d-d25a-4928-8a1c-12822ccd4f0a</uuid>
  <forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>
  <bridge name='virbr7' stp='on' delay='0'/>
  <mac address='52:54:00:dc:1d:18'/>
  <dns><host ip='172.22.0.5'><hostname>five</hostname></host></dns>
  <ip address='172.22.0.1' netmask='255.255.255.0'>
    <tftp root='/srv/tftp'/>
    <dhcp>
      <range start='172.22.0.10' end='172.22.0.50'/>
      <host mac='52:54:00:00:00:01' ip='172.22.0.9'/>
      <bootp file='boot.ipxe' server='172.22.0.2'/>
    </dhcp>
  </ip>
  <ip family='ipv6' address='fd00:22::1' prefix='64'/>
</network>
"""


def stored() -> ET.Element:
    return ET.fromstring(STORED)


def wanted(**options: Any) -> definition.Settings:
    return definition.wanted("lab", options, definition.read(stored()))


def new(**options: Any) -> str:
    settings = definition.wanted("lab", options, None)
    return ET.tostring(definition.overlay(definition.new("lab", None), settings), encoding="unicode")


def test_all_that_the_options_speak_of_is_read() -> None:
    assert definition.read(stored()) == definition.Settings(
        forward="nat",
        bridge="virbr7",
        address="172.22.0.1",
        netmask="255.255.255.0",
        dhcp_start="172.22.0.10",
        dhcp_end="172.22.0.50",
        ipv6_address="fd00:22::1/64",
        tftp_root="/srv/tftp",
        boot_file="boot.ipxe",
        boot_server="172.22.0.2",
    )


def test_what_is_left_out_stays() -> None:
    assert wanted() == definition.read(stored())
    assert ET.canonicalize(ET.tostring(definition.overlay(stored(), wanted()))) == ET.canonicalize(STORED.strip())


def test_what_no_option_speaks_of_stays_beside_a_change() -> None:
    changed = definition.overlay(stored(), wanted(boot_file="other.ipxe", boot_server="", dhcp_start="172.22.0.11"))
    assert changed.find("ip/dhcp/host") is not None and changed.find("dns/host") is not None
    assert changed.findtext("uuid") == stored().findtext("uuid")
    assert changed.find("ip/dhcp/bootp").attrib == {"file": "other.ipxe"}
    assert changed.find("ip/dhcp/range").attrib == {"start": "172.22.0.11", "end": "172.22.0.50"}


def test_an_empty_option_removes() -> None:
    nothing = {
        "dhcp_start": "",
        "dhcp_end": "",
        "boot_file": "",
        "boot_server": "",
        "tftp_root": "",
        "ipv6_address": "",
    }
    changed = definition.overlay(stored(), wanted(**nothing))
    (only,) = changed.findall("ip")
    assert list(only) == []
    assert definition.overlay(stored(), wanted(**nothing, address="")).findall("ip") == []


def test_a_dhcp_server_that_is_added_never_offers_an_address_twice_and_keeps_its_other_options() -> None:
    options = "{%s}options" % definition.DNSMASQ
    current = definition.new("lab", None)
    ET.SubElement(ET.SubElement(current, options), "{%s}option" % definition.DNSMASQ, {"value": "log-dhcp"})
    added = definition.wanted("lab", {"address": "10.0.0.1", "dhcp_start": "10.0.0.2", "dhcp_end": "10.0.0.9"}, None)
    (held,) = definition.overlay(current, added).findall(options)
    assert [option.get("value") for option in held] == ["log-dhcp", "dhcp-sequential-ip"]


def test_another_forward_mode_takes_nothing_of_the_old_ones() -> None:
    assert definition.overlay(stored(), wanted(forward="isolated")).find("forward") is None
    (open_mode,) = definition.overlay(stored(), wanted(forward="open")).findall("forward")
    assert (open_mode.attrib, list(open_mode)) == ({"mode": "open"}, [])


def test_a_new_network_is_what_its_options_say() -> None:
    made = new(bridge="virbr-prov", address="172.22.0.1/16", dhcp_start="172.22.0.9", dhcp_end="172.22.9.9")
    assert ET.canonicalize(made) == ET.canonicalize(
        '<network><name>lab</name><forward mode="nat" /><bridge stp="on" delay="0" name="virbr-prov" />'
        '<ip address="172.22.0.1" netmask="255.255.0.0"><dhcp><range start="172.22.0.9" end="172.22.9.9" /></dhcp></ip>'
        '<dnsmasq:options xmlns:dnsmasq="http://libvirt.org/schemas/network/dnsmasq/1.0">'
        '<dnsmasq:option value="dhcp-sequential-ip" /></dnsmasq:options></network>'
    )
    assert new(forward="bridge", bridge="br0") == (
        '<network><name>lab</name><forward mode="bridge" /><bridge name="br0" /></network>'
    )
    assert new(forward="isolated") == "<network><name>lab</name></network>"


def test_a_prefix_and_a_mask_are_one() -> None:
    other = stored()
    del other.find("ip").attrib["netmask"]
    other.find("ip").set("prefix", "24")
    assert definition.read(other) == definition.read(stored())
    assert wanted(address="172.22.0.1/24") == wanted()


def test_differences_go_by_option() -> None:
    found = definition.read(stored()).differences(wanted(boot_server="", address="172.22.0.2"))
    assert [(one.path, one.before, one.after) for one in found] == [
        ("address", "172.22.0.1", "172.22.0.2"),
        ("boot_server", "172.22.0.2", None),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bridge": "a-name-of-16-byt"}, "at most 15 bytes"),
        ({"address": "172.22.0.300"}, "address of IPv4 that is none"),
        ({"address": "172.22.0.1/33"}, "which is none"),
        ({"address": "fd00::1"}, "address of IPv4"),
        ({"ipv6_address": "172.22.0.1/24"}, "not of IPv6"),
        ({"dhcp_end": ""}, "both or none"),
        ({"dhcp_start": "172.22.1.10"}, "no range of its network 172.22.0.0/24"),
        ({"dhcp_start": "172.22.0.60"}, "no range of its network"),
        ({"ipv6_dhcp_start": "fd00:23::1", "ipv6_dhcp_end": "fd00:23::2"}, "no range of its network fd00:22::/64"),
        ({"dhcp_start": "", "dhcp_end": ""}, "boot_file, which DHCP hands out"),
        ({"boot_file": ""}, "boot_server without boot_file"),
        ({"tftp_root": "srv"}, "no absolute path"),
        ({"forward": "bridge"}, "leave address out"),
    ],
)
def test_what_can_not_be_is_told_with_the_networks_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LabError) as caught:
        wanted(**options)
    assert said in str(caught.value) and "network 'lab'" in str(caught.value)
