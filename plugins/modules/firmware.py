#!/usr/bin/python

# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: firmware
short_description: Update the firmware of BMCs and see it run
version_added: 0.1.0
author:
  - the baremetal.lab authors (@baremetal-lab)
description:
  - Brings hundreds of BMCs to a firmware image in one task, by Redfish or by the REST service that OpenBMC had before.
  - A BMC has changed when it was read back, several times and after its reboot, that it runs the version. Nothing
    that a BMC says before counts.
  - An image is sent only to a BMC that does not have it. Where an upload got no answer, or the task was killed, it is
    looked for first.
extends_documentation_fragment:
  - baremetal.lab.attributes
  - baremetal.lab.attributes.converges
  - baremetal.lab.bmc_targets
options:
  state:
    description:
      - V(active), the image runs.
      - V(present), the image is on the BMC, and nothing is rebooted.
      - V(absent), the image is not on the BMC. The one that runs is refused, and so is any by a BMC that deletes none.
    type: str
    choices: [present, active, absent]
    default: active
  image:
    description:
      - The image file, where the module runs. It is copied once for all BMCs, to E(TMPDIR) or C(/tmp), and sent from
        there.
      - Its version is that of the MANIFEST in it, a tar file as OpenBMC builds them.
    type: path
  host_image:
    description:
      - A second image, for the firmware of the machine itself, to be brought to the BMC with the first.
    type: path
  version:
    description:
      - The version that O(image) has, where it has no MANIFEST.
      - Without O(image), the version of an image that the BMCs have, to switch to or to remove.
    type: str
  purpose:
    description:
      - What the image of O(version) is for, where there is no O(image) that says so.
    type: str
    choices: [bmc, host]
    default: bmc
  force:
    description:
      - Whether to send the image though the BMC has one of its version, say because it has other content.
    type: bool
    default: false
  apply_time:
    description:
      - When a BMC takes the image that it was sent. V(immediate) has it reboot as soon as the image is in flash.
      - BMCs that take images without multipart know V(immediate) alone.
    type: str
    choices: [on_reset, immediate]
    default: on_reset
  reboot:
    description:
      - V(auto), reboot a BMC whose image does not run yet.
      - V(never), leave it to somebody else. The result says RV(results[].pending).
      - V(always), also reboot a BMC that would by itself.
    type: str
    choices: [auto, never, always]
    default: auto
  host_power:
    description:
      - V(leave), the machine stays as it is while its BMC reboots.
      - V(cycle), a machine that is on is switched off before, and on again afterwards. Firmware of the machine itself
        runs only then, on most.
    type: str
    choices: [leave, cycle]
    default: leave
  canary:
    description:
      - How many BMCs, the first ones, are updated alone before the others. When one of them fails, the others are
        skipped.
    type: int
    default: 0
  max_fail_percentage:
    description:
      - When more of the BMCs than this have failed, no other one is sent an image or rebooted; they are skipped.
    type: float
    default: 100
  polls:
    description:
      - How many BMCs are asked at one time how far they are. Those that wait hold up no uploads.
    type: int
    default: 100
  lock_timeout:
    description:
      - Seconds to wait for a BMC that another run on this host works on, such as one whose C(ansible-playbook) was
        killed. After that the BMC fails with RV(results[].kind=locked).
    type: float
    default: 600
  run_id:
    description:
      - What the run is called in its journal, and for M(baremetal.lab.firmware_info) to follow. Give each run another
        one, since to wait for one that has ended is no wait.
      - By default the time and some random digits.
    type: str
  journal_dir:
    description:
      - The folder of journals and locks.
      - By default C(baremetal.lab/firmware) in E(XDG_STATE_HOME) or in C(~/.local/state).
    type: path
  journal_days:
    description:
      - Before a run, the journals in O(journal_dir) are removed that nothing was written to for so many days; with V(0)
        none are.
      - They are kept for two days at least, since after a crash a run goes on from them.
    type: float
    default: 90
  activation_timeout:
    description:
      - Seconds for a BMC to check and write an image.
    type: float
    default: 1200
  reboot_timeout:
    description:
      - Seconds for a BMC to be back after its reboot.
    type: float
    default: 600
  poll_interval:
    description:
      - Seconds between two looks at a BMC, where it does not say how many.
    type: float
    default: 5
  verify_reads:
    description:
      - How often the version is read back.
    type: int
    default: 3
  verify_interval:
    description:
      - Seconds between these.
    type: float
    default: 10
  protocol:
    default: redfish
    choices: [openbmc, redfish]
    type: str
    description:
      - What a BMC speaks. V(openbmc) is the REST service that OpenBMC had before Redfish.
  fan_out:
    description:
      - How many uploads are under way at one time.
    type: int
    default: 100
  timeout:
    description:
      - Seconds for one BMC, all that the task does with it included.
    type: float
    default: 7200
seealso:
  - module: baremetal.lab.firmware_info
"""

EXAMPLES = r"""
- name: Bring all BMCs to an image, three of them first
  baremetal.lab.firmware:
    targets: "{{ bmcs }}"
    username: root
    password: "{{ bmc_password }}"
    ca_path: /etc/ssl/lab-ca.pem
    image: /srv/firmware/obmc-2.15.tar
    canary: 3
    max_fail_percentage: 10
  delegate_to: localhost
  run_once: true

- name: Send the image now, in the background
  baremetal.lab.firmware:
    targets: "{{ bmcs }}"
    username: root
    password: "{{ bmc_password }}"
    image: /srv/firmware/obmc-2.15.tar
    state: present
    run_id: week-12
  delegate_to: localhost
  async: 7200
  poll: 0

- name: Wait for it
  baremetal.lab.firmware_info:
    run_id: week-12
    wait: true
  delegate_to: localhost

- name: Remove an old one
  baremetal.lab.firmware:
    targets: "{{ bmcs }}"
    username: root
    password: "{{ bmc_password }}"
    version: "2.14"
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
run_id:
  description: What the run is called in its journal.
  returned: where it is no check mode
  type: str
  sample: 20260102T030405Z-1f2e3d
journal:
  description: The journal's file, with a line of JSON for each step.
  returned: where it is no check mode
  type: str
results:
  description: What became of each BMC, in the order in which they were given.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The BMC's name.
      type: str
      sample: node-01
    status:
      description: V(ok), V(changed), V(skipped) or V(failed).
      type: str
      sample: changed
    changed:
      description: Whether something was changed, or in check mode would be.
      type: bool
    versions:
      description: What runs, by purpose.
      returned: where it did not fail
      type: dict
      sample:
        bmc: 2.15.0
    pending:
      description: Whether the image is in flash and waits for a reboot.
      returned: where it did not fail, outside check mode
      type: bool
    uploads:
      description: How often the image was sent.
      returned: where it did not fail, outside check mode
      type: int
    seconds:
      description: How long it took.
      returned: where it did not fail, outside check mode
      type: float
    steps:
      description: What would be done, an image each; V(UPLOAD), V(SWITCH), V(ACTIVATE), V(ATTACH) or V(NOOP).
      returned: in check mode
      type: list
      elements: str
    before:
      description: What ran, or which images there were.
      returned: where it did not fail
      type: dict
    after:
      description: The same afterwards.
      returned: where it did not fail
      type: dict
    kind:
      description:
        - A word for the failure, as of M(baremetal.lab.power).
        - V(activation), the BMC could not make the image one that boots.
        - V(locked), another run works on the BMC.
      returned: where it failed
      type: str
    step:
      description: Where it failed, such as V(INSPECT), V(UPLOAD), V(ACCEPTED), V(RESET), V(WAIT) or V(VERIFY).
      returned: where it failed
      type: str
    msg:
      description: Why it failed or was skipped.
      returned: where it failed or was skipped
      type: str
summary:
  description: How many BMCs have which status.
  returned: always
  type: dict
"""

from typing import Any, Dict, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.baremetal.lab.plugins.module_utils._bmc_targets import ARGUMENTS, RULES, run
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.errors import BadRequest
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.image import HOST, Image
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.request import FirmwareRequest, Timings
from ansible_collections.baremetal.lab.plugins.module_utils.hwctl.firmware.states import Want

ARGUMENT_SPEC: Dict[str, Dict[str, Any]] = {
    **ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "active", "absent"], "default": "active"},
    "image": {"type": "path"},
    "host_image": {"type": "path"},
    "version": {"type": "str"},
    "purpose": {"type": "str", "choices": ["bmc", "host"], "default": "bmc"},
    "force": {"type": "bool", "default": False},
    "apply_time": {"type": "str", "choices": ["on_reset", "immediate"], "default": "on_reset"},
    "reboot": {"type": "str", "choices": ["auto", "never", "always"], "default": "auto"},
    "host_power": {"type": "str", "choices": ["leave", "cycle"], "default": "leave"},
    "canary": {"type": "int", "default": 0},
    "max_fail_percentage": {"type": "float", "default": 100},
    "polls": {"type": "int", "default": 100},
    "lock_timeout": {"type": "float", "default": 600},
    "run_id": {"type": "str"},
    "journal_dir": {"type": "path"},
    "journal_days": {"type": "float", "default": 90},
    "activation_timeout": {"type": "float", "default": 1200},
    "reboot_timeout": {"type": "float", "default": 600},
    "poll_interval": {"type": "float", "default": 5},
    "verify_reads": {"type": "int", "default": 3},
    "verify_interval": {"type": "float", "default": 10},
    "protocol": {"type": "str", "choices": ["openbmc", "redfish"], "default": "redfish"},
    "timeout": {"type": "float", "default": 7200},
}


def wants(params: Dict[str, Any]) -> Tuple[Want, ...]:
    """Raises BadRequest."""
    state, version = params["state"], params["version"]
    if state == "absent" or not (params["image"] or params["host_image"]):
        if params["image"] or params["host_image"]:
            given = ((params["image"], version, None), (params["host_image"], None, HOST))
            images = [Image.open(path, named, purpose) for path, named, purpose in given if path]
            return tuple(Want(state, image.version, image.purpose) for image in images)
        return (Want(state, version, params["purpose"]),)
    found = []
    if params["image"]:
        image = Image.open(params["image"], version)
        found.append(Want(state, image.version, image.purpose, image))
    if params["host_image"]:
        image = Image.open(params["host_image"], purpose=HOST)
        found.append(Want(state, image.version, image.purpose, image))
    return tuple(found)


def request(params: Dict[str, Any], check: bool) -> FirmwareRequest:
    """Raises BadRequest."""
    timings = Timings(
        activation=params["activation_timeout"],
        reboot=params["reboot_timeout"],
        poll=params["poll_interval"],
        doubt=4 * params["poll_interval"],
        verify_reads=params["verify_reads"],
        verify_pause=params["verify_interval"],
    )
    return FirmwareRequest(
        params["state"],
        wants(params),
        check=check,
        force=params["force"],
        apply_time=params["apply_time"],
        reboot=params["reboot"],
        host_power=params["host_power"],
        canary=params["canary"],
        max_fail_percentage=params["max_fail_percentage"],
        polls=params["polls"],
        lock_timeout=params["lock_timeout"],
        run_id=params["run_id"],
        folder=params["journal_dir"] or "",
        journal_days=params["journal_days"],
        timings=timings,
    )


def main() -> None:
    rules = {**RULES, "required_one_of": [*RULES["required_one_of"], ("image", "host_image", "version")]}
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **rules)
    try:
        asked = request(module.params, module.check_mode)
    except BadRequest as error:
        module.fail_json(msg=str(error))
    else:
        run(module, "firmware", "update", request=asked)


if __name__ == "__main__":
    main()
