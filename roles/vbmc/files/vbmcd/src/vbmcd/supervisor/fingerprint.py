# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprint of the certificate that an instance's Redfish shows, so that clients can be told it beforehand."""

from __future__ import annotations

import datetime
import hashlib
import ssl
from typing import Mapping

from vbmcd.config import Instance

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
LONGEST = 1 << 20
"""Bytes that are read of a file; a chain has some thousands."""


def fingerprint(instance: Instance, records: Mapping[str, bytes]) -> str:
    """SHA-256 in hexadecimal. Empty without TLS, where nobody has connected yet and so no certificate was made for the
    instance as it is now, and where the one that was given can't be read.
    """
    redfish = instance.redfish
    if redfish is None or not redfish.tls:
        return ""
    try:
        found = _given(redfish.certificate) if redfish.certificate else _made(instance, records)
        pem = found.decode("ascii", "replace")
        first = pem[pem.index(_BEGIN) : pem.index(_END) + len(_END)]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()
    except (OSError, ValueError):
        return ""


def _given(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(LONGEST)


def _made(instance: Instance, records: Mapping[str, bytes]) -> bytes:
    # The X.509 library is large, and a daemon without Redfish has no use for it.
    from vbmcd.redfish import certificate

    pem = records.get(certificate.RECORD, b"")
    return pem if pem and certificate.fits(pem, instance, datetime.datetime.now(datetime.timezone.utc)) else b""
