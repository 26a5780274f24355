# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single values, and a reader that gathers every error of one JSON object.

Used by ``documents`` alone. A check takes what JSON gave, returns it typed, or raises ValueError with the
end of a sentence that names value and remedy; values of secrets are never in it.
"""

from __future__ import annotations

import difflib
import ipaddress
import string
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Callable, List, Optional, Tuple, TypeVar

from vbmcd.config import HEX, MAX_KG, MAX_NAME, MAX_PASSWORD, MAX_USERNAME, Privilege
from vbmcd.errors import InvalidRequest, VbmcError
from vbmcd.rmcp.suites import SUITES

MASK = "********"
"""What is shown for a password."""
CHANGED_MASK = f"{MASK} (changed)"

MAX_OWNER = 64
_MAX_URI = 1024
_MAX_PATH = 1024
_MAX_SASL = 256
_WITHOUT_PASSWORD = "would let everybody in without a password"

T = TypeVar("T")


def shown(value: object) -> str:
    """`value` for an error message, short whatever it is."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _text(value: object, *, most: int, least: int = 1) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a string: quote it")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError(f"{shown(value)} has a control character in it: leave it out")
    if not least <= len(value) <= most:
        raise ValueError(f"{shown(value)} has {len(value)} characters: give {least} to {most}")
    return value


def name(value: object) -> str:
    """The name of an instance or a domain."""
    return _text(value, most=MAX_NAME)


def owner(value: object) -> str:
    return _text(value, least=0, most=MAX_OWNER)


def username(value: object) -> str:
    text = _text(value, most=MAX_USERNAME)
    length = len(text.encode("utf-8"))
    if length > MAX_USERNAME:
        raise ValueError(f"{shown(text)} has {length} bytes, and IPMI allows {MAX_USERNAME}: choose a shorter one")
    if not text.isprintable():
        raise ValueError(f"{shown(text)} has an unprintable character in it: leave it out")
    return text


def _secret(value: object, *, most: int, least: int) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a string: quote it")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("has a control character in it: leave it out")
    if value in (MASK, CHANGED_MASK):
        raise ValueError("is the mask that is shown instead of a password: give the password, or leave it out")
    length = len(value.encode("utf-8"))
    if length < least:
        raise ValueError(f"is empty: give 1 to {most} bytes")
    if length > most:
        raise ValueError(f"has {length} bytes, and {most} are allowed: choose a shorter one")
    return value


def password(value: object) -> str:
    """A BMC user's. IPMI knows empty ones; here they are taken for a mistake."""
    return _secret(value, least=1, most=MAX_PASSWORD)


def kg(value: object) -> str:
    """The BMC key: text, or 0x and an even number of hexadecimal digits; empty for none."""
    if not isinstance(value, str) or not value.startswith(HEX):
        return _secret(value, least=0, most=MAX_KG)
    digits = value[len(HEX) :]
    if len(digits) % 2 or not digits or not all(digit in string.hexdigits for digit in digits):
        raise ValueError("begins with 0x, and is not hexadecimal: give two digits for each byte")
    if len(digits) > 2 * MAX_KG:
        raise ValueError(f"has {len(digits) // 2} bytes, and {MAX_KG} are allowed: choose a shorter one")
    return value.lower()


def cipher_suites(value: object) -> Tuple[int, ...]:
    """Numbers of cipher suites, in ascending order."""
    known = ", ".join(str(number) for number in sorted(SUITES))
    if not isinstance(value, list) or not value:
        raise ValueError(f"{shown(value)} is not a list of cipher suites: give some of {known}")
    for number in value:
        if isinstance(number, bool) or number not in SUITES:
            reason = _WITHOUT_PASSWORD if number == 0 else "is none that vbmcd has"
            raise ValueError(f"{shown(number)} {reason}: give some of {known}")
    return tuple(sorted(set(value)))


def sasl_password(value: object) -> str:
    return _secret(value, least=0, most=_MAX_SASL)


def sasl_username(value: object) -> str:
    return _text(value, least=0, most=_MAX_SASL)


def uri(value: object) -> str:
    text = _text(value, most=_MAX_URI)
    scheme, separator, _rest = text.partition("://")
    if not separator or not scheme or not scheme[0].isalpha() or " " in text:
        raise ValueError(f"{shown(text)} is not a libvirt URI: give one such as qemu:///system")
    return text


def port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ValueError(
            f"{shown(value)} is not a number from 1 to 65535: give one, or leave the port out and one is allocated"
        )
    return value


def path(value: object) -> str:
    """A file on the daemon's host; empty for none."""
    text = _text(value, least=0, most=_MAX_PATH)
    if text and not text.startswith("/"):
        raise ValueError(f"{shown(text)} is not an absolute path: begin it with /")
    return text


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false: give one of them")
    return value


def address(value: object) -> str:
    """An IP address in its canonical spelling; an IPv4-mapped one as the IPv4 address that it is."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a string: quote it")
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(
            f"{shown(value)} is not an IPv4 or IPv6 address: give one of this host's, or '::' for all"
        ) from None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def privilege(value: object) -> Privilege:
    words = {level.name.lower(): level for level in Privilege}
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{shown(value)} is not a privilege: give {one_of(reversed(list(words)))}")
    return words[value]


def one_of(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}"


class Reader:
    """Takes typed values out of one JSON object; what is wrong goes to `errors`, all of it."""

    def __init__(
        self,
        document: Mapping[Any, object],
        subject: str,
        errors: List[VbmcError],
        instance: Optional[str] = None,
    ) -> None:
        """`subject`: what errors begin with, such as ``instance 'node-07'``."""
        self._document = document
        self._subject = subject
        self._errors = errors
        self._instance = instance

    def refuse(self, message: str) -> None:
        self._errors.append(InvalidRequest(f"{self._subject}: {message}", instance=self._instance))

    def get(self, key: str, check: Callable[[object], T]) -> Optional[T]:
        """None where the key is left out, null, or wrong."""
        value = self._document.get(key)
        if value is None:
            return None
        try:
            return check(value)
        except ValueError as error:
            self.refuse(f"{key} {error}")
            return None

    def require(self, key: str, check: Callable[[object], T]) -> Optional[T]:
        """As get(), but left out is wrong, too."""
        if self._document.get(key) is None:
            self.refuse(f"{key} is missing: add it")
            return None
        return self.get(key, check)

    def only(self, known: Collection[str]) -> None:
        """Refuse keys that are not in `known`."""
        for key in self._document:
            if key in known:
                continue
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            self.refuse(f"unknown key {shown(key)}: {hint}")


def part(
    value: object, name: str, example: str, instance: str, errors: List[VbmcError], known: Collection[str]
) -> Optional[Reader]:
    """Reads the object `name` of an instance, whose keys are in `known`; None where it is left out, null, or wrong."""
    if value is None:
        return None
    subject = f"instance {instance!r}: {name}"
    if not isinstance(value, dict):
        errors.append(
            InvalidRequest(f"{subject} is {shown(value)}: give an object, such as {example}", instance=instance)
        )
        return None
    reader = Reader(value, subject, errors, instance)
    reader.only(known)
    return reader
