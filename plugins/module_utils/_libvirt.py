# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to libvirt: the binding where there is one, a connection, and its errors in words for people.

Every module that talks to libvirt itself comes through here. Documented by the fragment baremetal.lab.libvirt.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.baremetal.lab.plugins.module_utils._errors import LabError

__all__ = ["CONNECTION_ARGUMENTS", "connection", "is_error", "libvirt", "reason", "require_libvirt"]

LIBVIRT_IMPORT_ERROR: Optional[str]
try:
    import libvirt
except ImportError:
    libvirt = None
    LIBVIRT_IMPORT_ERROR = traceback.format_exc()
else:
    LIBVIRT_IMPORT_ERROR = None

CONNECTION_ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "uri": {"type": "str", "default": "qemu:///system"},
    "sasl_username": {"type": "str"},
    "sasl_password": {"type": "str", "no_log": True},
}


def require_libvirt(module: Any) -> None:
    """End the module with the remedy where the Python that runs it has no libvirt binding."""
    if libvirt is None:
        module.fail_json(
            msg=missing_required_lib("libvirt", reason="(Debian and Ubuntu: the package python3-libvirt)"),
            exception=LIBVIRT_IMPORT_ERROR,
        )


@contextmanager
def connection(uri: str, username: Optional[str] = None, password: Optional[str] = None) -> Iterator[Any]:
    """An open libvirt.virConnect, closed at the end. Raises LabError where none can be had."""
    # Without a handler libvirt writes every error to stderr, those that are expected and handled too.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        opened = _open(uri, username or "", password or "")
    except libvirt.libvirtError as error:
        raise LabError(
            "no connection to libvirt at %s: %s: start libvirtd there (the role hypervisor does), "
            "or correct 'uri' and the SASL options" % (uri, reason(error))
        ) from error
    try:
        yield opened
    except libvirt.libvirtError as error:
        raise LabError("libvirt at %s: %s: correct that and run again" % (uri, reason(error))) from error
    finally:
        opened.close()


def reason(error: Exception) -> str:
    """What a libvirtError says, without its prefix."""
    getter = getattr(error, "get_error_message", None)
    return str((getter() if getter else None) or error)


def is_error(error: Exception, *codes: str) -> bool:
    """Whether a libvirtError has one of the codes, given without VIR_ERR_."""
    code = error.get_error_code() if hasattr(error, "get_error_code") else None
    return code in [getattr(libvirt, "VIR_ERR_" + name, None) for name in codes]


def _open(uri: str, username: str, password: str) -> Any:
    if not username:
        return libvirt.open(uri)

    def answer(credentials: List[List[Any]], _data: Any) -> int:
        for credential in credentials:
            credential[4] = username if credential[0] == libvirt.VIR_CRED_AUTHNAME else password
        return 0

    kinds = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE]
    return libvirt.openAuth(uri, [kinds, answer, None], 0)
