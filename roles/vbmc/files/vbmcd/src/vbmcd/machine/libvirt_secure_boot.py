# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secure Boot of a domain: firmware with it and with keys enrolled, or without, from the next start on.

libvirt selects the firmware by what the definition asks for. Each kind has variables of its own, in a file beside the
one that the domain had: none is lost, and keys that were enrolled don't linger. The XML holds secrets: never log it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, Optional

import libvirt

from vbmcd.machine.base import SecureBoot, Unsupported, WrongState
from vbmcd.machine.libvirt_boot import parse

_INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
_SUFFIX = ".secureboot.fd"
_FEATURES = ("enrolled-keys", "secure-boot")
DEFAULT_FOLDER = "/var/lib/libvirt/qemu/nvram"
"""Where libvirt's system daemon makes files of variables, and names none in a definition until it has."""


def read(connection: Any, name: str) -> SecureBoot:
    """How it is configured, and how it runs. Raises Unsupported for a domain that does not boot by EFI."""
    domain = connection.lookupByName(name)
    stored = ET.fromstring(domain.XMLDesc(_INACTIVE))
    _check_efi(stored, name)
    live = ET.fromstring(domain.XMLDesc(0)) if domain.isActive() else None
    current = live is not None and is_secure(live)
    asked = asked_for(stored)
    return SecureBoot(enabled=current if asked is None else asked, current=current)


def definition_with(connection: Any, name: str, on: bool) -> Optional[str]:
    """The definition that asks for it, or for none; None where the present one does already.

    Raises Unsupported where the domain or its hypervisor can't have it, WrongState for a transient domain.
    """
    domain = connection.lookupByName(name)
    if not domain.isPersistent():
        raise WrongState(f"domain {name!r} is transient: it has no definition to keep Secure Boot in")
    tree = parse(domain.XMLDesc(_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
    _check_efi(tree, name)
    if asked_for(tree) is on:
        return None
    if on:
        _check_offered(connection, tree)
    live = ET.fromstring(domain.XMLDesc(0)).findtext("os/nvram") if domain.isActive() else None
    return with_secure_boot(tree, on, tree.findtext("os/nvram") or live or _default_nvram(connection, name))


def pending(live: str, stored: str) -> bool:
    """Whether the definition asks for another kind of firmware than the domain was started with."""
    asked = asked_for(ET.fromstring(stored))
    return asked is not None and asked is not is_secure(ET.fromstring(live))


def is_secure(domain: ET.Element) -> bool:
    """Of a running domain: whether its firmware has it, and keys. libvirt has put in there what it has selected."""
    loader = domain.find("os/loader")
    if loader is None or loader.get("secure") != "yes":
        return False
    return asked_for(domain) is not False


def asked_for(domain: ET.Element) -> Optional[bool]:
    """What the definition says; None where it leaves it to libvirt."""
    feature = domain.find("os/firmware/feature[@name='enrolled-keys']")
    if feature is not None:
        return feature.get("enabled") == "yes"
    loader = domain.find("os/loader")
    if loader is not None and loader.get("type") == "pflash":
        return loader.get("secure") == "yes"
    return None


def with_secure_boot(domain: ET.Element, on: bool, nvram: Optional[str]) -> str:
    """Pure. `nvram`: the file of variables that the domain had, if that is known."""
    os = domain.find("os")
    assert os is not None
    os.set("firmware", "efi")
    for tag in ("firmware", "loader", "nvram"):
        for element in os.findall(tag):
            os.remove(element)
    firmware = ET.SubElement(os, "firmware")
    for feature in _FEATURES:
        ET.SubElement(firmware, "feature", {"enabled": "yes" if on else "no", "name": feature})
    if on:
        ET.SubElement(os, "loader", {"secure": "yes"})
    if nvram is not None:
        ET.SubElement(os, "nvram").text = _variables(nvram, on)
    return ET.tostring(domain, encoding="unicode")


def _variables(nvram: str, on: bool) -> str:
    plain = nvram[: -len(_SUFFIX)] + ".fd" if nvram.endswith(_SUFFIX) else nvram
    stem = plain[: -len(".fd")] if plain.endswith(".fd") else plain
    return stem + _SUFFIX if on else plain


def _default_nvram(connection: Any, name: str) -> Optional[str]:
    return f"{DEFAULT_FOLDER}/{name}_VARS.fd" if connection.getURI().endswith("/system") else None


def _check_efi(domain: ET.Element, name: str) -> None:
    os = domain.find("os")
    loader = domain.find("os/loader")
    if os is None or (os.get("firmware") != "efi" and (loader is None or loader.get("type") != "pflash")):
        raise Unsupported(f"domain {name!r} does not boot by EFI, which Secure Boot is a part of")


def _check_offered(connection: Any, domain: ET.Element) -> None:
    kind = domain.find("os/type")
    machine = None if kind is None else kind.get("machine")
    capabilities = connection.getDomainCapabilities(
        domain.findtext("devices/emulator"), None if kind is None else kind.get("arch"), machine, domain.get("type")
    )
    values = ET.fromstring(capabilities).iterfind("os/loader/enum[@name='secure']/value")
    if "yes" not in [value.text for value in values]:
        raise Unsupported(
            f"the hypervisor has no firmware with Secure Boot for machine {machine}: x86 needs q35 and OVMF"
        )
