# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on a host, by way of Ansible's connection plugins: so a host is reached with the variables that tasks go by.

Used by the inventory plugin ``vbmc``, which runs before there are tasks. What a task executor does for a task's
connection is done here for one without a task (ansible.executor.task_executor, _get_connection, and
ansible.plugins.action, _low_level_execute_command).
"""

from __future__ import annotations

import shlex
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Sequence, Tuple

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader

Template = Callable[[Any, Mapping[str, Any]], Any]


class RemoteHost:
    """One host. Made in the main thread, since loading plugins is no work for several; run() is any thread's."""

    def __init__(self, name: str, variables: Mapping[str, Any], template: Template, become: bool) -> None:
        """`become`: whether to become another user where `variables` has no ansible_become. Raises AnsibleError."""
        self.name = name
        self._variables = {"inventory_hostname": name, **variables}
        self._template = template
        told = self.values(("ansible_connection", "ansible_become", "ansible_become_method"))
        self._context = PlayContext()
        self.transport = str(told.get("ansible_connection") or C.DEFAULT_TRANSPORT)
        self._connection = connection_loader.get(self.transport, self._context)
        if self._connection is None:
            raise AnsibleError(f"there is no connection plugin '{self.transport}'")
        self._set_options("connection", self._connection)
        self._set_options("shell", self._connection._shell)
        wants = boolean(told.get("ansible_become", become), strict=False)
        self._become = self._become_plugin(str(told.get("ansible_become_method") or C.DEFAULT_BECOME_METHOD), wants)

    def values(self, names: Iterable[str]) -> Dict[str, Any]:
        """Those of its variables that there are, templated."""
        return {
            name: self._template(self._variables[name], self._variables) for name in names if name in self._variables
        }

    def run(self, command: Sequence[str], data: Optional[str] = None) -> Tuple[int, str, str]:
        """Exit code and output, as AnsibleModule.run_command has them. Raises AnsibleError."""
        text = shlex.join(command)
        if self._become is not None:
            text = self._become.build_become_command(text, self._connection._shell)
        if self._connection.allow_executable:
            text = f"{self._context.executable} -c {shlex.quote(text)}"
        data_bytes = None if data is None else data.encode()
        code, out, err = self._connection.exec_command(text, in_data=data_bytes, sudoable=self._become is not None)
        output = to_text(out)
        if self._become is not None:
            # The line by which a connection plugin knows that no password is asked for.
            output = output.partition(f"{self._become.success}\n")[2] or output
        return code, output, to_text(err)

    def close(self) -> None:
        self._connection.close()

    def _set_options(self, kind: str, plugin: Any) -> None:
        plugin.set_options(var_options=self.values(C.config.get_plugin_vars(kind, plugin._load_name)))

    def _become_plugin(self, method: str, wanted: bool) -> Any:
        """None where nobody else is to be become. Raises AnsibleError."""
        if not wanted:
            return None
        plugin = become_loader.get(method)
        if plugin is None:
            raise AnsibleError(f"there is no become plugin '{method}'")
        self._set_options("become", plugin)
        if plugin.get_option("become_user") == self._user():
            return None
        self._connection.set_become_plugin(plugin)
        return plugin

    def _user(self) -> Optional[str]:
        try:
            user = self._connection.get_option("remote_user")
        except KeyError:
            user = getattr(self._connection, "default_user", None)
        return None if user is None else str(user)
