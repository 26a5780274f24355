# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances as JSON: the SPEC of a request, the masked document of a reply, and the file of the store.

All three are one shape, read by one parser, so that what is shown can be asked for. Called by ``control``
(requests), ``converge`` (replies) and ``store`` (files). Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Tuple

from vbmcd import fields
from vbmcd.config import DEFAULT_REDFISH_PORT, MAX_USERS, Instance, Privilege, Redfish, User
from vbmcd.errors import InvalidRequest, VbmcError, refusal
from vbmcd.fields import CHANGED_MASK, MASK, Reader
from vbmcd.firmware import documents as firmware
from vbmcd.media import documents as media

FILE_FORMAT = 1

Document = Dict[str, object]


class State(enum.Enum):
    """What is wanted of an instance."""

    PRESENT = "present"
    """Exists; running or not is left alone, and a new one is stopped."""
    ABSENT = "absent"
    STARTED = "started"
    STOPPED = "stopped"


@dataclass(frozen=True)
class WantedRedfish:
    """The Redfish service of a SPEC, checked. None: as for Wanted."""

    enabled: bool = True
    port: Optional[int] = None
    address: Optional[str] = None
    tls: Optional[bool] = None
    certificate: Optional[str] = None
    key: Optional[str] = None

    def applied_to(self, before: Optional[Redfish], port: int) -> Optional[Redfish]:
        """The service that this makes of `before`, or of nothing; it answers on `port`."""
        if not self.enabled:
            return None
        changes = _given(address=self.address, tls=self.tls, certificate=self.certificate, key=self.key)
        return replace(before or Redfish(port), port=port, **changes)


@dataclass(frozen=True)
class Wanted:
    """One SPEC of a request, checked. None: keep what the instance has, or the default for a new one."""

    name: str
    domain: Optional[str] = None
    username: Optional[str] = None
    password: Optional[str] = field(default=None, repr=False)
    privilege: Optional[Privilege] = None
    users: Optional[Tuple[User, ...]] = None
    """The users after the first."""
    address: Optional[str] = None
    port: Optional[int] = None
    default_port: Optional[int] = None
    """For a new instance without a port: this one if it is free, otherwise an allocated one."""
    libvirt_uri: Optional[str] = None
    libvirt_sasl_username: Optional[str] = None
    libvirt_sasl_password: Optional[str] = field(default=None, repr=False)
    kg: Optional[str] = field(default=None, repr=False)
    cipher_suites: Optional[Tuple[int, ...]] = None
    redfish: Optional[WantedRedfish] = None
    firmware: Optional[firmware.Changes] = None
    media: Optional[media.Changes] = None
    owner: Optional[str] = None
    state: State = State.PRESENT

    def applied_to(self, before: Optional[Instance], port: int, redfish_port: int = 0) -> Instance:
        """The instance that this makes of `before`, or of nothing; it answers on `port`, and Redfish on the other."""
        base = before or Instance(name=self.name, domain=self.name, port=port)
        first = replace(
            base.users[0],
            **_given(name=self.username, password=self.password, privilege=self.privilege),
        )
        others = base.users[1:] if self.users is None else self.users
        connection = replace(
            base.connection,
            **_given(
                uri=self.libvirt_uri,
                sasl_username=self.libvirt_sasl_username,
                sasl_password=self.libvirt_sasl_password,
            ),
        )
        redfish = base.redfish
        if self.redfish is not None:
            redfish = self.redfish.applied_to(redfish, redfish_port)
        active = {State.STARTED: True, State.STOPPED: False}.get(self.state, base.active)
        changes = _given(
            domain=self.domain, address=self.address, kg=self.kg, cipher_suites=self.cipher_suites, owner=self.owner
        )
        return replace(
            base,
            port=port,
            users=(first, *others),
            connection=connection,
            redfish=redfish,
            firmware=firmware.applied(self.firmware, base.firmware),
            media=media.applied(self.media, base.media),
            active=active,
            **changes,
        )


def _given(**values: object) -> Dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


_STORED_KEYS = (
    "name",
    "domain",
    "username",
    "password",
    "privilege",
    "users",
    "address",
    "port",
    "libvirt_uri",
    "libvirt_sasl_username",
    "libvirt_sasl_password",
    "kg",
    "cipher_suites",
    "redfish",
    "firmware",
    "media",
    "owner",
    "state",
)
_LATER_KEYS = ("kg", "cipher_suites", "redfish", "firmware", "media")
"""Keys that files of older versions lack."""
SPEC_KEYS = (*_STORED_KEYS, "default_port")
_USER_KEYS = ("name", "password", "privilege")
_REDFISH_KEYS = ("enabled", "port", "address", "tls", "certificate", "key")


def instance_errors(instance: Instance) -> List[VbmcError]:
    """What is wrong with `instance` as a whole, where each value alone is right."""
    errors: List[str] = []
    names = [user.name for user in instance.users]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        errors.append(f"has two users named {twice[0]!r}: rename or remove one")
    if len(names) > MAX_USERS:
        errors.append(f"has {len(names)} users, and an instance may have {MAX_USERS}: remove some")
    connection = instance.connection
    if bool(connection.sasl_username) != bool(connection.sasl_password):
        lacking = "libvirt_sasl_password" if connection.sasl_username else "libvirt_sasl_username"
        errors.append(f"has only half of libvirt's SASL credentials: give {lacking}, or neither")
    redfish = instance.redfish
    if redfish is not None and redfish.key and not redfish.certificate:
        errors.append("has a key for Redfish and no certificate: give redfish.certificate, or neither")
    return [InvalidRequest(f"instance {instance.name!r} {error}", instance=instance.name) for error in errors]


def parse_specs(items: object) -> Tuple[Wanted, ...]:
    """The SPECs of a request. Raises InvalidRequest, or Refused with all that is wrong."""
    if not isinstance(items, list):
        raise InvalidRequest(f"instances is {fields.shown(items)}: give a list of objects, each with a name")
    errors: List[VbmcError] = []
    wanted = [_parse(item, SPEC_KEYS, f"instances[{index}]", errors) for index, item in enumerate(items)]
    seen: Dict[str, int] = {}
    for index, one in enumerate(wanted):
        if one is None:
            continue
        if one.name in seen:
            errors.append(
                InvalidRequest(
                    f"instance {one.name!r} is named twice, as instances[{seen[one.name]}] and instances[{index}]: "
                    "remove one",
                    instance=one.name,
                )
            )
        seen.setdefault(one.name, index)
    if errors:
        raise refusal(errors)
    return tuple(one for one in wanted if one is not None)


def _parse(item: object, keys: Tuple[str, ...], place: str, errors: List[VbmcError]) -> Optional[Wanted]:
    """One SPEC; None if it has no usable name. `place` is what errors call it then."""
    if not isinstance(item, dict):
        errors.append(InvalidRequest(f"{place} is {fields.shown(item)}: give an object with a name"))
        return None
    name = Reader(item, place, errors).require("name", fields.name)
    if name is None:
        return None
    reader = Reader(item, f"instance {name!r}", errors, name)
    reader.only(keys)
    return Wanted(
        name=name,
        domain=reader.get("domain", fields.name),
        username=reader.get("username", fields.username),
        password=reader.get("password", fields.password),
        privilege=reader.get("privilege", fields.privilege),
        users=_parse_users(item.get("users"), name, errors),
        address=reader.get("address", fields.address),
        port=reader.get("port", fields.port),
        default_port=reader.get("default_port", fields.port),
        libvirt_uri=reader.get("libvirt_uri", fields.uri),
        libvirt_sasl_username=reader.get("libvirt_sasl_username", fields.sasl_username),
        libvirt_sasl_password=reader.get("libvirt_sasl_password", fields.sasl_password),
        kg=reader.get("kg", fields.kg),
        cipher_suites=reader.get("cipher_suites", fields.cipher_suites),
        redfish=_parse_redfish(item.get("redfish"), name, errors),
        firmware=firmware.parse(item.get("firmware"), name, errors),
        media=media.parse(item.get("media"), name, errors),
        owner=reader.get("owner", fields.owner),
        state=reader.get("state", _state) or State.PRESENT,
    )


def _state(value: object) -> State:
    words = [state.value for state in State]
    if value not in words:
        raise ValueError(f"{fields.shown(value)} is not a state: give {fields.one_of(words)}")
    return State(value)


def _parse_users(value: object, instance: str, errors: List[VbmcError]) -> Optional[Tuple[User, ...]]:
    if value is None:
        return None
    subject = f"instance {instance!r}"
    if not isinstance(value, list):
        # Not shown: there may be passwords in it.
        errors.append(
            InvalidRequest(
                f"{subject}: users is not a list: give a list of objects",
                instance=instance,
            )
        )
        return None
    users: List[User] = []
    for index, item in enumerate(value):
        place = f"{subject}: users[{index}]"
        if not isinstance(item, dict):
            errors.append(
                InvalidRequest(
                    f"{place} is not an object: give one with name and password",
                    instance=instance,
                )
            )
            continue
        reader = Reader(item, place, errors, instance)
        reader.only(_USER_KEYS)
        name = reader.require("name", fields.username)
        password = reader.require("password", fields.password)
        privilege = reader.get("privilege", fields.privilege)
        if name is not None and password is not None:
            users.append(
                User(
                    name,
                    password,
                    Privilege.ADMINISTRATOR if privilege is None else privilege,
                )
            )
    return tuple(users)


def _parse_redfish(value: object, instance: str, errors: List[VbmcError]) -> Optional[WantedRedfish]:
    reader = fields.part(value, "redfish", '{"port": 443}', instance, errors, _REDFISH_KEYS)
    if reader is None:
        return None
    enabled = reader.get("enabled", fields.boolean)
    return WantedRedfish(
        enabled=True if enabled is None else enabled,
        port=reader.get("port", fields.port),
        address=reader.get("address", lambda address: fields.address(address) if address else ""),
        tls=reader.get("tls", fields.boolean),
        certificate=reader.get("certificate", fields.path),
        key=reader.get("key", fields.path),
    )


def _redfish_to_document(redfish: Optional[Redfish]) -> Document:
    if redfish is None:
        return {"enabled": False}
    return {
        "enabled": True,
        "port": redfish.port,
        "address": redfish.address,
        "tls": redfish.tls,
        "certificate": redfish.certificate,
        "key": redfish.key,
    }


def instance_to_document(instance: Instance, mask: bool = True) -> Document:
    """`instance` in the shape of a SPEC. With `mask` passwords show as ``********``."""
    first, *others = instance.users
    connection = instance.connection

    def secret(value: str) -> str:
        return MASK if mask and value else value

    return {
        "name": instance.name,
        "domain": instance.domain,
        "username": first.name,
        "password": secret(first.password),
        "privilege": first.privilege.name.lower(),
        "users": [
            {
                "name": user.name,
                "password": secret(user.password),
                "privilege": user.privilege.name.lower(),
            }
            for user in others
        ],
        "address": instance.address,
        "port": instance.port,
        "libvirt_uri": connection.uri,
        "libvirt_sasl_username": connection.sasl_username,
        "libvirt_sasl_password": secret(connection.sasl_password),
        "kg": secret(instance.kg),
        "cipher_suites": list(instance.cipher_suites),
        "redfish": _redfish_to_document(instance.redfish),
        "firmware": firmware.to_document(instance.firmware),
        "media": media.to_document(instance.media),
        "owner": instance.owner,
        "state": (State.STARTED if instance.active else State.STOPPED).value,
    }


def changed_document(before: Optional[Instance], after: Instance) -> Document:
    """The masked document of `after`, in which a password that differs from `before`'s is marked so."""
    document = instance_to_document(after)
    if before is None:
        return document
    if after.users[0].password != before.users[0].password:
        document["password"] = CHANGED_MASK
    if after.connection.sasl_password and after.connection.sasl_password != before.connection.sasl_password:
        document["libvirt_sasl_password"] = CHANGED_MASK
    if after.kg and after.kg != before.kg:
        document["kg"] = CHANGED_MASK
    passwords = {user.name: user.password for user in before.users[1:]}
    document["users"] = [
        {
            "name": user.name,
            "password": MASK if passwords.get(user.name, user.password) == user.password else CHANGED_MASK,
            "privilege": user.privilege.name.lower(),
        }
        for user in after.users[1:]
    ]
    return document


def instance_to_file(instance: Instance) -> Document:
    """What the store writes: all of `instance`, passwords included."""
    return {"format": FILE_FORMAT, **instance_to_document(instance, mask=False)}


def instance_from_file(document: object) -> Instance:
    """The instance of a file's JSON. Raises InvalidRequest, or Refused, where it is not one."""
    if not isinstance(document, dict):
        raise InvalidRequest("the file holds no JSON object: restore or remove it")
    stored: Mapping[str, object] = document
    if stored.get("format") != FILE_FORMAT:
        raise InvalidRequest(
            f"the file has format {fields.shown(stored.get('format'))}, and this vbmcd reads {FILE_FORMAT}: "
            "upgrade vbmcd, or restore or remove the file"
        )
    errors: List[VbmcError] = []
    missing = [key for key in _STORED_KEYS if key not in _LATER_KEYS and stored.get(key) is None]
    if missing:
        errors.append(InvalidRequest(f"the file lacks {', '.join(missing)}: restore or remove it"))
    wanted = _parse(
        {key: stored[key] for key in stored if key != "format"},
        _STORED_KEYS,
        "the file",
        errors,
    )
    if wanted is not None and wanted.port is not None and not errors:
        redfish_port = (wanted.redfish.port if wanted.redfish else None) or DEFAULT_REDFISH_PORT
        instance = wanted.applied_to(None, wanted.port, redfish_port)
        errors = instance_errors(instance)
        if not errors:
            return instance
    raise refusal(errors)
