# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate that a BMC makes for itself where it is given none, as PEM with its key. Pure but for randomness."""

from __future__ import annotations

import datetime
import ipaddress
from typing import List

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vbmcd.config import Instance
from vbmcd.endpoints import ANY_IPV4, ANY_IPV6

RECORD = "certificate"
YEARS = 10
MAX_COMMON_NAME = 64


def make(instance: Instance, now: datetime.datetime) -> bytes:
    """Key and certificate, self-signed, for the instance's name and its address."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, instance.name[:MAX_COMMON_NAME])])
    usage = {"digital_signature": True, "key_cert_sign": True}
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
              "encipher_only", "decipher_only")  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName(names_of(instance)), critical=False)
        # Who trusts it names it as its own authority.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage, **dict.fromkeys(others, False)), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()) + certificate.public_bytes(encoding)


def names_of(instance: Instance) -> List[x509.GeneralName]:
    """What clients may call it: its name, as far as it can be a host's, and its address."""
    names: List[x509.GeneralName] = []
    if instance.name.isascii() and all(part.replace("-", "a").isalnum() for part in instance.name.split(".")):
        names.append(x509.DNSName(instance.name))
    address = instance.redfish_endpoint[0] if instance.redfish_endpoint else instance.address
    if address in (ANY_IPV4, ANY_IPV6):
        names.append(x509.DNSName("localhost"))
    else:
        names.append(x509.IPAddress(ipaddress.ip_address(address)))
    return names


def fits(pem: bytes, instance: Instance, now: datetime.datetime) -> bool:
    """Whether a certificate that was made before still is one for `instance`."""
    try:
        certificate = x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN CERT") :])
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    # The one without a zone goes away; Debian 12's cryptography has no other.
    ends = getattr(certificate, "not_valid_after_utc", None)
    if ends is None:
        ends = certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)
    return list(names) == names_of(instance) and ends > now
