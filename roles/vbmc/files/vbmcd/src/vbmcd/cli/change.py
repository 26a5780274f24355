# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``vbmc add``, ``delete``, ``start`` and ``stop``, with VirtualBMC's options."""

from __future__ import annotations

import argparse
from typing import Any, Dict, List

from vbmcd.cli.base import VbmcCommand
from vbmcd.cli.firmware import option
from vbmcd.cli.passwords import PASSWORD_VARIABLE, add_password_options, password_from
from vbmcd.config import (
    DEFAULT_ADDRESS,
    DEFAULT_CIPHER_SUITES,
    DEFAULT_PASSWORD,
    DEFAULT_PORT,
    DEFAULT_URI,
    DEFAULT_USERNAME,
    Privilege,
)
from vbmcd.endpoints import show


class Add(VbmcCommand):
    """Create a virtual BMC for a libvirt domain; it is started with vbmc start."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        words = [level.name.lower() for level in reversed(Privilege)]
        parser.add_argument("name", metavar="NAME", help="name of the virtual BMC, and of its domain")
        parser.add_argument("--domain", metavar="DOMAIN", help="name of the domain, where it is another")
        parser.add_argument("--username", metavar="USER", help=f"BMC user; default: {DEFAULT_USERNAME}")
        add_password_options(
            parser, "password", "the user's password", f" (env {PASSWORD_VARIABLE}; default: {DEFAULT_PASSWORD})"
        )
        parser.add_argument("--privilege", choices=words, help="how far the user may go; default: administrator")
        parser.add_argument(
            "--port",
            type=int,
            metavar="PORT",
            help=f"UDP port; default: {DEFAULT_PORT}, or one that is free",
        )
        parser.add_argument("--address", metavar="ADDRESS", help=f"address to listen on; default: {DEFAULT_ADDRESS}")
        parser.add_argument("--libvirt-uri", metavar="URI", help=f"the domain's libvirt; default: {DEFAULT_URI}")
        parser.add_argument("--libvirt-sasl-username", metavar="USER", help="user for libvirt's SASL authentication")
        add_password_options(parser, "libvirt-sasl-password", "the password for libvirt's SASL authentication")
        add_password_options(parser, "kg", "the BMC key K_g, as text or as 0x and digits", " (default: none)")
        parser.add_argument(
            "--cipher-suites",
            type=_numbers,
            metavar="N[,N...]",
            help="cipher suites that clients may use; default: " + ",".join(str(one) for one in DEFAULT_CIPHER_SUITES),
        )
        parser.add_argument(
            "--redfish-port", type=int, metavar="PORT", help="serve Redfish on this TCP port; default: no"
        )
        parser.add_argument("--redfish-address", metavar="ADDRESS", help="address for Redfish; default: --address")
        parser.add_argument("--redfish-http", action="store_true", help="serve Redfish by HTTP, in the clear")
        parser.add_argument("--redfish-certificate", metavar="FILE", help="certificate; default: one is made")
        parser.add_argument("--redfish-key", metavar="FILE", help="the certificate's key, where it is another file")
        parser.add_argument(
            "--firmware",
            type=option,
            action="append",
            default=[],
            metavar="OPTION=VALUE",
            help="how its firmware is to be, such as version=2.1.0 or dialect=openbmc-2023; the value is YAML",
        )
        parser.add_argument(
            "--media",
            type=option,
            action="append",
            default=[],
            metavar="OPTION=VALUE",
            help="from where it may fetch media and images, such as folders=[/srv/iso] or schemes=[https]",
        )
        parser.add_argument("--owner", metavar="LABEL", help="label that vbmc apply --purge can be limited to")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        result = self.ask("apply", {"instances": [_spec(parsed_args)], "create_only": True})
        for one in result["instances"]:
            self.app.stdout.write(f"{one['name']} added on {show((one['address'], one['port']))}{_redfish(one)}\n")
        self.complain_of_failed(result)


def _redfish(one: Dict[str, Any]) -> str:
    redfish = one["after"]["redfish"]
    if not redfish["enabled"]:
        return ""
    scheme = "https" if redfish["tls"] else "http"
    return f", {scheme}://{show((redfish['address'] or one['address'], redfish['port']))}"


def _numbers(text: str) -> List[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers: separate them by commas") from None


def _spec(options: argparse.Namespace) -> Dict[str, Any]:
    redfish = {
        "port": options.redfish_port,
        "address": options.redfish_address,
        "tls": False if options.redfish_http else None,
        "certificate": options.redfish_certificate,
        "key": options.redfish_key,
    }
    redfish = {key: value for key, value in redfish.items() if value is not None}
    given = {
        "name": options.name,
        "domain": options.domain,
        "username": options.username,
        "password": password_from(options.password, options.password_file, PASSWORD_VARIABLE),
        "privilege": options.privilege,
        "port": options.port,
        "default_port": DEFAULT_PORT,
        "address": options.address,
        "libvirt_uri": options.libvirt_uri,
        "libvirt_sasl_username": options.libvirt_sasl_username,
        "libvirt_sasl_password": password_from(options.libvirt_sasl_password, options.libvirt_sasl_password_file),
        "kg": password_from(options.kg, options.kg_file),
        "cipher_suites": options.cipher_suites,
        "redfish": redfish or None,
        "firmware": dict(options.firmware) or None,
        "media": dict(options.media) or None,
        "owner": options.owner,
    }
    return {key: value for key, value in given.items() if value is not None}


class _ByName(VbmcCommand):
    """A change of instances by name; the command's name is the request's."""

    request = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("names", metavar="NAME", nargs="+", help="name of a virtual BMC")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        self.complain_of_failed(self.ask(self.request, {"names": parsed_args.names}))


class Delete(_ByName):
    """Delete virtual BMCs; their domains stay as they are."""

    request = "delete"


class Start(_ByName):
    """Start virtual BMCs: they answer, now and after each start of the daemon."""

    request = "start"


class Stop(_ByName):
    """Stop virtual BMCs: they keep their configuration and no longer answer."""

    request = "stop"
