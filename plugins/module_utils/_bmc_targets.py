# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between a module's parameters and the library hwctl: targets and limits going in, results coming out.

The modules of the action group bmc call it. The options are documented in doc_fragments/bmc_targets.py.
"""

from __future__ import annotations

import signal
from collections import Counter
from typing import Any, Dict, List, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.clients import PROTOCOLS
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.limits import Limits
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.managers import MANAGERS
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.outcome import Outcome
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.target import Target

NAMED_FAILURES = 5
"""How many failed BMCs an error message names; the results have all."""

_OF_A_TARGET: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "address": {"type": "str"},
    "protocol": {"type": "str", "choices": sorted(PROTOCOLS)},
    "port": {"type": "int"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "kg": {"type": "str", "no_log": True},
    "privilege": {"type": "str", "choices": ["user", "operator", "administrator"]},
    "system": {"type": "str"},
    "validate_certs": {"type": "bool"},
    "ca_path": {"type": "path"},
    "fingerprint": {"type": "str"},
    "plain_http": {"type": "bool"},
}
_DEFAULTS: Dict[str, Any] = {
    "protocol": "ipmi",
    "privilege": "administrator",
    "validate_certs": True,
    "plain_http": False,
}

ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "targets": {"type": "list", "elements": "dict", "options": _OF_A_TARGET},
    **{key: {**spec, "default": _DEFAULTS[key]} if key in _DEFAULTS else spec for key, spec in _OF_A_TARGET.items()},
    "fan_out": {"type": "int", "default": 100},
    "timeout": {"type": "float", "default": 120},
    "overall_timeout": {"type": "float"},
}
RULES: Dict[str, Any] = {
    "mutually_exclusive": [("targets", "address"), ("targets", "name")],
    "required_one_of": [("targets", "address")],
}


def targets(params: Mapping[str, Any]) -> List[Target]:
    """Raises BadRequest."""
    common = {key: params[key] for key in _OF_A_TARGET if params[key] is not None}
    if params["targets"] is None:
        return [Target.of(common)]
    return [Target.of({**common, **_given(item)}) for item in params["targets"]]


def run(module: AnsibleModule, manager: str, operation: str, **arguments: Any) -> None:
    """Run an operation of one of the MANAGERS on the module's targets, and end the module with what came of it."""
    params = module.params
    try:
        limits = Limits(params["fan_out"], params["timeout"], params["overall_timeout"])
        command = MANAGERS[manager](targets(params), limits)
        # Whoever ends the module gently is told what was done till then.
        signal.signal(signal.SIGTERM, lambda number, frame: command.cancel())
        outcomes = command.run(operation, **arguments)
    except BadRequest as error:
        module.fail_json(msg=str(error))
    else:
        _end(module, outcomes, command.told)


def _end(module: AnsibleModule, outcomes: Sequence[Outcome], told: Mapping[str, Any]) -> None:
    changed = [outcome for outcome in outcomes if outcome.changed]
    result: Dict[str, Any] = {
        **told,
        "changed": bool(changed),
        "results": [outcome.result() for outcome in outcomes],
        "summary": dict(Counter(outcome.status for outcome in outcomes)),
        "diff": {
            "before": {outcome.name: dict(outcome.before or {}) for outcome in changed},
            "after": {outcome.name: dict(outcome.after or {}) for outcome in changed},
        },
    }
    broken = [outcome for outcome in outcomes if outcome.failure is not None]
    if not broken:
        module.exit_json(**result)
    elif any(outcome.failure and outcome.failure.kind == "missing-library" for outcome in broken):
        module.fail_json(msg=missing_required_lib("pyghmi", url="https://pypi.org/project/pyghmi/"), **result)
    else:
        module.fail_json(msg=_complaint(broken, len(outcomes)), **result)


def _complaint(broken: Sequence[Outcome], count: int) -> str:
    named = [f"{one.name}: {one.failure.message}" for one in broken[:NAMED_FAILURES] if one.failure is not None]
    rest = len(broken) - len(named)
    return f"{len(broken)} of {count} BMCs failed. " + "; ".join(named) + (f"; and {rest} more" if rest else "")


def _given(item: Mapping[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in item.items() if value is not None}
