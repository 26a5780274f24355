# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action baremetal.lab.lab_export, documented in plugins/modules/lab_export.py.

An action and no module, since the files are the controller's, and passwords are to leave no trace on the way: they go
into no module's arguments and no temporary file, and the result has none.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_endpoints import Endpoint, read_endpoints
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_files import shown, write
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_formats import FORMATS, Format
from ansible_collections.baremetal.lab.plugins.plugin_utils.private_file import PrivateFile

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    "plan": {"type": "dict", "required": True, "no_log": True},
    "found": {"type": "dict", "required": True},
    "groups": {"type": "dict", "default": {}},
    "formats": {"type": "list", "elements": "str", "choices": list(FORMATS), "default": list(FORMATS)},
    "path": {"type": "path", "required": True},
}


class ActionModule(ActionBase):
    """Writes the files that differ."""

    _supports_check_mode = True
    _supports_diff = True
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENT_SPEC)[1]
        formats = {word: FORMATS[word] for word in arguments["formats"]}
        nodes = _nodes(arguments, formats)
        files: List[Dict[str, Any]] = []
        diffs: List[Dict[str, str]] = []
        for word, wanted in formats.items():
            path = os.path.join(os.path.abspath(arguments["path"]), wanted.file)
            try:
                changed, diff = self._bring(PrivateFile(path), wanted, nodes)
            except OSError as error:
                raise AnsibleActionFail(f"{path} can't be written: {error.strerror or error}") from error
            files.append({"format": word, "path": path, "changed": changed})
            diffs += [diff] if changed else []
        result.update(changed=bool(diffs), files=files, nodes=len(nodes))
        if self._task.diff:
            result["diff"] = diffs
        return result

    def _bring(self, file: PrivateFile, wanted: Format, nodes: List[Endpoint]) -> Tuple[bool, Dict[str, str]]:
        """Whether the file changes, or in check mode would, and what of that may be shown. Raises OSError."""
        before, after = file.text(), write(wanted.document(nodes), wanted.file)
        if before == after and file.is_private():
            return False, {}
        if not self._task.check_mode:
            file.write(after)
        shown_before, shown_after = shown(before, wanted.file), shown(after, wanted.file)
        if shown_before == shown_after:
            return True, {"prepared": f"{file.path}: passwords or the file's mode change\n"}
        headers = {"before_header": file.path, "after_header": file.path}
        return True, {**headers, "before": shown_before, "after": shown_after}


def _nodes(arguments: Mapping[str, Any], formats: Mapping[str, Format]) -> List[Endpoint]:
    """The nodes to export. Raises AnsibleActionFail with all that is in the way."""
    plan = arguments["plan"]
    read = read_endpoints([*plan["nodes"], *plan.get("unplaced", ())], arguments["found"], arguments["groups"])
    problems = [*read.problems]
    for word, wanted in formats.items():
        problems += wanted.problems(word, read.nodes)
    if problems:
        raise AnsibleActionFail("\n".join(problems))
    return read.nodes
