# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module ends that has an outcome for each of its items: domain, network and domain_dependency."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from ansible.module_utils.basic import AnsibleModule


def end(module: AnsibleModule, items: str, outcomes: Sequence[Any]) -> None:
    """Warn, and tell all outcomes under the name `items`; fail where one has an error.

    Each has `warnings`, an `error` or None, `document()` with the key changed, and `diff()`, a list for diff mode.
    """
    for warning in (warning for outcome in outcomes for warning in outcome.warnings):
        module.warn(warning)
    documents = [outcome.document() for outcome in outcomes]
    result: Dict[str, Any] = {"changed": any(one["changed"] for one in documents), items: documents}
    if module._diff:
        result["diff"] = [part for outcome in outcomes for part in outcome.diff()]
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors:
        count = f"{len(errors)} of {len(outcomes)} {items} failed: " if len(outcomes) > 1 else ""
        module.fail_json(msg=count + "; ".join(errors), **result)
    module.exit_json(**result)
