# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BMC's TLS: which certificate it shows, made ready when somebody first connects."""

from __future__ import annotations

import datetime
import logging
import os
import ssl
from pathlib import Path
from typing import Optional, Tuple

from vbmcd.commands.bmc import Bmc
from vbmcd.machine.base import Busy
from vbmcd.redfish import certificate

log = logging.getLogger(__name__)

Version = Tuple[Tuple[int, int, int], ...]
"""What tells a file from the one that was there before."""


class Tls:
    """The context of one BMC's connections."""

    __slots__ = ("_bmc", "_context", "_failed", "_version")

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._context: Optional[ssl.SSLContext] = None
        self._version: Version = ()
        self._failed = ""

    async def context(self) -> Optional[ssl.SSLContext]:
        """None while no certificate can be had; the log says why. A certificate that was renewed is read anew, and
        until it can be used (certificate and key are two files, and one is written first) the one before goes on."""
        redfish = self._bmc.instance.redfish
        assert redfish is not None
        if self._context is not None and not redfish.certificate:
            return self._context
        try:
            if not redfish.certificate:
                self._context = _context_of_pem(await self._own())
            else:
                self._context = self._given(redfish.certificate, redfish.key)
        except (OSError, ssl.SSLError) as error:
            self._complain(str(error))
            return self._context
        self._failed = ""
        return self._context

    def _given(self, chain: str, key: str) -> ssl.SSLContext:
        version = tuple(_version(path) for path in (chain, key) if path)
        if self._context is None or version != self._version:
            context = _empty()
            context.load_cert_chain(chain, key or None, password=_no_password)
            self._context, self._version = context, version
        return self._context

    async def _own(self) -> bytes:
        """The certificate that was made for this BMC, or a new one, kept for good where that is possible now."""
        bmc, now = self._bmc, datetime.datetime.now(datetime.timezone.utc)
        pem = bmc.kept.get(certificate.RECORD, b"")
        if pem and certificate.fits(pem, bmc.instance, now):
            return pem
        pem = certificate.make(bmc.instance, now)
        try:
            await bmc.remember(certificate.RECORD, pem)
        except Busy as error:
            bmc.kept[certificate.RECORD] = pem
            log.warning("a certificate could not be stored, and is made anew at the next start: %s", error)
        return pem

    def _complain(self, reason: str) -> None:
        if reason != self._failed:
            self._failed = reason
            fields = {"instance": self._bmc.instance.name, "reason": reason}
            what = "nobody can connect" if self._context is None else "the one before is shown"
            log.error("the certificate for Redfish can't be used; %s", what, extra={"fields": fields})


def _empty() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | getattr(ssl, "OP_NO_RENEGOTIATION", 0)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _context_of_pem(pem: bytes) -> ssl.SSLContext:
    """OpenSSL's binding reads files alone: one that is only in memory."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context = _empty()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return context
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Instead of asking on the terminal."""
    raise OSError("the key is encrypted: store it without a password, readable by the daemon's user alone")


def _version(path: str) -> Tuple[int, int, int]:
    status = Path(path).stat()
    return (status.st_ino, status.st_mtime_ns, status.st_size)
