#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firmware_info
short_description: Read the firmware of BMCs, or follow an update
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Reads which firmware images BMCs have and which of them run.
  - Or reads, from its journal, what a run of M(baremetal.lab.firmware) is at, and waits for its end.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.info
  - baremetal.lab.bmc_targets
options:
  run_id:
    description:
      - A run to follow instead, or V(latest). It is one of the host that this module runs on.
    type: str
  wait:
    description:
      - Whether to wait for the run's end. A run that has not begun yet is waited for too, for two minutes.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds after which the module fails that waits.
    type: float
    default: 7200
  journal_dir:
    description:
      - The folder of journals, as of M(baremetal.lab.firmware).
    type: path
  protocol:
    default: redfish
    choices: [openbmc, redfish]
    type: str
    description:
      - What a BMC speaks. V(openbmc) is the REST service that OpenBMC had before Redfish.
seealso:
  - module: baremetal.lab.firmware
"""

EXAMPLES = r"""
- name: Read the firmware of all BMCs
  baremetal.lab.firmware_info:
    targets: "{{ bmcs }}"
    username: root
    password: "{{ bmc_password }}"
  delegate_to: localhost
  register: firmware

- name: Wait for an update that runs in the background
  baremetal.lab.firmware_info:
    run_id: week-12
    wait: true
  delegate_to: localhost
  register: update
  failed_when: update is failed or update.run.status != 'ended' or 'FAILED' in update.run.summary
"""

RETURN = r"""
results:
  description: What each BMC has, in the order in which they were given.
  returned: where BMCs are read
  type: list
  elements: dict
  contains:
    name:
      description: The BMC's name.
      type: str
      sample: node-01
    status:
      description: V(ok) or V(failed).
      type: str
      sample: ok
    versions:
      description: What runs, by purpose.
      returned: where it did not fail
      type: dict
      sample:
        bmc: 2.15.0
    images:
      description: The images.
      returned: where it did not fail
      type: list
      elements: dict
      contains:
        id:
          description: The image, as the BMC addresses it.
          type: str
        version:
          description: Its version.
          type: str
        purpose:
          description: What it is for, V(bmc), V(host) or V(other).
          type: str
        state:
          description: V(written) in flash, V(ready) to be activated, V(updating), or V(unusable).
          type: str
        running:
          description: Whether it runs.
          type: bool
    reset_time:
      description: When the BMC booted last, in its own words.
      returned: where it did not fail
      type: str
    kind:
      description: A word for the failure, as of M(baremetal.lab.power).
      returned: where it failed
      type: str
    step:
      description: Where it failed, as of M(baremetal.lab.power).
      returned: where it failed
      type: str
    msg:
      description: Why it failed.
      returned: where it failed
      type: str
summary:
  description: How many BMCs have which status.
  returned: where BMCs are read
  type: dict
run:
  description: What a run is at.
  returned: with O(run_id)
  type: dict
  contains:
    id:
      description: What it is called.
      type: str
    status:
      description: V(running), V(ended), or V(broken off) where its process is gone and it did not say that it ended.
      type: str
      sample: ended
    started:
      description: When it began.
      type: str
    last:
      description: The time of the last record.
      type: str
    summary:
      description: How many BMCs are in which step. V(DONE), V(FAILED) and V(SKIPPED) are ends.
      type: dict
      sample:
        DONE: 99
        FAILED: 1
    targets:
      description: What the journal said last of each BMC that was begun.
      type: list
      elements: dict
"""

import time
from collections import Counter
from typing import Any, Dict, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._bmc_targets import ARGUMENTS, RULES, run
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.history import (
    RunState,
    latest_run,
    read_run,
)
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.journal import default_folder

LOOK = 0.5
"""Seconds between two looks at a journal."""
BEGIN = 120.0
"""Seconds for which a run is waited for that has not begun: its task may have failed before, for a wrong option say."""

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **ARGUMENTS,
    "run_id": {"type": "str"},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 7200},
    "journal_dir": {"type": "path"},
    "protocol": {"type": "str", "choices": ["openbmc", "redfish"], "default": "redfish"},
}


def followed(folder: str, run_id: str, wait: bool, seconds: float) -> RunState:
    """What the run is at, when it has ended if that is waited for. Raises BadRequest."""
    now = time.monotonic()
    begin, end = now + min(BEGIN, seconds), now + seconds
    while True:
        found: Optional[RunState] = None
        try:
            found = read_run(folder, _latest(folder) if run_id == "latest" else run_id)
        except BadRequest as error:
            if not wait:
                raise
            if time.monotonic() > begin:
                raise BadRequest(f"{error}. Look whether its task failed before it began (async_status)") from None
        if found is not None and (not wait or (found.begun and not found.alive)):
            return found
        if time.monotonic() > end:
            raise BadRequest(f"the run {run_id} did not end within {seconds:g} s")
        time.sleep(LOOK)


def _latest(folder: str) -> str:
    found = latest_run(folder)
    if found is None:
        raise BadRequest(f"there is no run in {folder}: give journal_dir where the runs have one")
    return found


def result(found: RunState) -> Dict[str, Any]:
    return {
        "id": found.run,
        "status": found.status,
        "started": found.started,
        "last": found.last,
        "summary": dict(Counter(record["state"] for record in found.targets.values())),
        "targets": list(found.targets.values()),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        mutually_exclusive=[*RULES["mutually_exclusive"], ("targets", "run_id"), ("address", "run_id")],
        required_one_of=[("targets", "address", "run_id")],
    )
    params = module.params
    if params["run_id"] is None:
        run(module, "firmware", "get_images")
        return
    try:
        folder = params["journal_dir"] or default_folder()
        found = followed(folder, params["run_id"], params["wait"], params["wait_timeout"])
    except BadRequest as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(changed=False, run=result(found))


if __name__ == "__main__":
    main()
