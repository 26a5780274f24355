# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Privileges and roles (DSP0266, 'Privilege model'), and which IPMI privilege level stands for which role."""

from __future__ import annotations

from typing import Dict, FrozenSet

from vbmcd.config import Privilege

LOGIN = "Login"
SELF = "ConfigureSelf"
COMPONENTS = "ConfigureComponents"
MANAGER = "ConfigureManager"
USERS = "ConfigureUsers"

ROLES: Dict[str, FrozenSet[str]] = {
    "Administrator": frozenset((LOGIN, SELF, COMPONENTS, MANAGER, USERS)),
    "Operator": frozenset((LOGIN, SELF, COMPONENTS)),
    "ReadOnly": frozenset((LOGIN, SELF)),
    "NoAccess": frozenset(),
}
"""By RoleId. The last one is not the standard's: IPMI's callback users, who may do nothing here."""

ROLE_OF: Dict[Privilege, str] = {
    Privilege.ADMINISTRATOR: "Administrator",
    Privilege.OPERATOR: "Operator",
    Privilege.USER: "ReadOnly",
    Privilege.CALLBACK: "NoAccess",
}
PRIVILEGE_OF: Dict[str, Privilege] = {role: privilege for privilege, role in ROLE_OF.items()}


def privileges_of(level: Privilege) -> FrozenSet[str]:
    return ROLES[ROLE_OF[level]]
