# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's errors in the words of machine/base.py, so that nothing else leaves the backend."""

from __future__ import annotations

import libvirt

from vbmcd.machine.base import Busy, MachineError, Unsupported, WrongState

_UNSUPPORTED = {
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_INVALID_ARG,
}
_DENIED = {libvirt.VIR_ERR_OPERATION_DENIED, libvirt.VIR_ERR_ACCESS_DENIED, libvirt.VIR_ERR_AUTH_FAILED}
_AWAY = {
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_OPERATION_TIMEOUT,
    libvirt.VIR_ERR_OPERATION_ABORTED,
}
_LOGIN = {libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_AUTH_CANCELLED}
_XML = {libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_XML_DETAIL}


class LoginRefused(Busy):
    """libvirt lives, but wants another user or password."""


def unreachable(error: libvirt.libvirtError, uri: str) -> Busy:
    """Why no connection could be opened."""
    if error.get_error_code() in _LOGIN:
        remedy = "give the instances on it the right libvirt_sasl_username and libvirt_sasl_password"
        return LoginRefused(f"libvirt at {uri} refused the login ({error}): {remedy}")
    return Busy(f"libvirt at {uri} is away ({error})")


def translate(error: libvirt.libvirtError, domain: str, uri: str, alive: bool) -> MachineError:
    """The MachineError that says the same. `alive` tells whether the connection still is."""
    code = error.get_error_code()
    if not alive or code in _AWAY:
        return Busy(f"libvirt at {uri} is away: {error}")
    where = f"domain {domain!r} at {uri}"
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return WrongState(f"libvirt at {uri} has no domain {domain!r}: define it, or give the instance another one")
    if code in _DENIED:
        return Unsupported(f"{where}: this libvirt user may not do that ({error}); give it write access")
    if code in _XML:
        # The message may quote a line of the definition, and that line may hold a password.
        return Unsupported(f"{where}: libvirt refused its changed definition (error {code})")
    if code in _UNSUPPORTED:
        return Unsupported(f"{where}: {error}")
    return WrongState(f"{where}: {error}")
