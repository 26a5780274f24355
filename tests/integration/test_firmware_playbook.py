# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook firmware_update, its progress on a terminal and elsewhere, and its page in a real browser."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.baremetal.lab.plugins.plugin_utils.firmware_report import report
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_page import page
from rig.browser import Browser
from rig.firmware import image_file
from rig.firmware_lab import FirmwareLab
from rig.waiting import eventually

CHECKOUT = Path(__file__).resolve().parents[2]
TEMPLATES = CHECKOUT / "playbooks/templates/firmware"
HOSTILE = "<img src=x onerror=\"window.hurt='node'\"><script>window.hurt='script'</script>{{ 7 * 7 }}"


class Playbook:
    """`baremetal.lab.firmware_update` for BMCs of a lab."""

    def __init__(self, folder: Path, lab: FirmwareLab) -> None:
        self.folder = folder
        self.page = folder / "page.html"
        namespace = folder / "ansible_collections/baremetal"
        namespace.mkdir(parents=True)
        (namespace / "lab").symlink_to(CHECKOUT)
        times = {"activation_seconds": 0.5, "reboot_seconds": 0.6}
        bmcs = [*lab.add(2, **times), *lab.add(1, faults=[{"kind": "exception"}], **times)]
        self.names = [bmc.name for bmc in bmcs]
        variables = {
            "firmware_targets": [{"name": bmc.name, "address": bmc.host, "port": bmc.port} for bmc in bmcs],
            "firmware_username": "admin",
            "firmware_password": "password",
            "firmware_validate_certs": False,
            "firmware_image": str(image_file(folder / "bmc.tar", "2.0.0")),
            "firmware_poll_interval": 0.3,
            "firmware_verify_interval": 0.3,
            "firmware_page": str(self.page),
            "ansible_python_interpreter": sys.executable,
        }
        (folder / "vars.json").write_text(json.dumps(variables))
        options = ["-i", "localhost,", "-e", f"@{folder / 'vars.json'}", "baremetal.lab.firmware_update"]
        self.command = [sys.executable, "-m", "ansible", "playbook", *options]
        self.environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(folder),
            "ANSIBLE_CALLBACKS_ENABLED": "baremetal.lab.firmware_progress",
            "BAREMETAL_LAB_FIRMWARE_INTERVAL": "0.3",
            "XDG_STATE_HOME": str(folder / "state"),
            "LC_ALL": "C.UTF-8",
        }

    def sent(self) -> Counter[str]:
        """How many uploads of each BMC the journals tell of."""
        lines = [line for path in self.folder.glob("state/**/*.jsonl") for line in path.read_text().splitlines()]
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return Counter(one["target"] for one in found if one.get("state") == "UPLOAD")


@pytest.fixture(scope="module")
def lab() -> Iterator[FirmwareLab]:
    with FirmwareLab() as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as chromium:
        yield chromium


@pytest.fixture
def playbook(lab: FirmwareLab, tmp_path: Path) -> Playbook:
    return Playbook(tmp_path, lab)


def test_a_fleet_is_updated_with_lines_of_progress_and_a_page_of_what_came_of_it(
    playbook: Playbook, browser: Browser
) -> None:
    done = subprocess.run(playbook.command, env=playbook.environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "1 of 3 BMCs failed" in said
    lines = [line for line in said.splitlines() if line.startswith("[") and "/3 done" in line]
    assert len(lines) > 1 and lines[-1].endswith("2/3 done, 1 failed"), said
    assert "password" not in playbook.page.read_text()
    assert playbook.page.stat().st_mode & 0o777 == 0o600
    browser.open(playbook.page)
    browser.look(1200)
    assert browser.evaluate("document.title") == "Firmware bmc 2.0.0: 2 updated, 1 failed"
    named = browser.evaluate("[...document.querySelectorAll('ol b')].map(one => one.textContent)")
    assert named == playbook.names
    assert browser.evaluate("document.querySelector('table tbody').textContent.includes('activation')")


def test_a_terminal_has_one_line_that_is_written_anew(playbook: Playbook) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(playbook.command, env=playbook.environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert process.wait() == 2, said
    # Anew in its place below an empty line, in which the cursor waits for what Ansible shows; and at last to stay.
    anew = re.findall(rb"\x1b\[J\r\n(\[[# ]+\] \d/3 done[^\x1b\r]*)\x1b\[1A\r", said)
    last = re.findall(rb"\x1b\[J(\[[# ]+\] \d/3 done[^\x1b\r]*)\r\n", said)
    assert len(anew) > 1 and last == [b"[########################] 2/3 done, 1 failed"], said


def test_ansible_playbook_is_killed_and_run_again_while_its_module_lives_on(playbook: Playbook) -> None:
    first = subprocess.Popen(playbook.command, env=playbook.environment, stdout=subprocess.DEVNULL)
    eventually(lambda: set(playbook.names) <= playbook.sent().keys(), what="all images are on their way")
    first.kill()
    first.wait()
    again = subprocess.run(playbook.command, env=playbook.environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    # The third BMC refuses its first image, and the second run gives it another one.
    assert playbook.sent() == dict(zip(playbook.names, (1, 1, 2), strict=True))


def records(count: int) -> list[dict[str, Any]]:
    """Of a run in which every seventh BMC failed, and names and messages are hostile."""
    names = [f"bmc-{number:03}" for number in range(count - 1)] + [HOSTILE]

    def at(second: float, **record: Any) -> dict[str, Any]:
        return {"time": datetime.fromtimestamp(1_700_000_000 + second, UTC).isoformat(), "run": "r1", **record}

    found = [at(0, begin=count, targets=names, state="active", wanted=["bmc 2.0 0123456789abcdef"])]
    for number, name in enumerate(names):
        steps = [
            (0, "INSPECT"),
            (1 + number / 10, "UPLOAD"),
            (20 + number / 10, "ACCEPTED"),
            (40, "RESET"),
            (41, "WAIT"),
        ]
        found += [at(second, target=name, key=name, state=state) for second, state in steps]
        if number % 7:
            found += [at(70, target=name, key=name, state="VERIFY")]
            found += [at(90, target=name, key=name, state="DONE", status="changed")]
        else:
            failure = {"status": "failed", "failed_in": "WAIT", "kind": "not-reached", "msg": HOSTILE}
            found += [at(100, target=name, key=name, state="FAILED", **failure)]
    return [*found, at(100, end={})]


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (375, "light")])
def test_the_page_shows_the_fleet_wherever_it_is_looked_at_and_hurts_nobody(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(report(records(60)), str(TEMPLATES), datetime(2026, 5, 4, tzinfo=UTC)))
    browser.open(file)
    browser.look(width, scheme=scheme)
    assert browser.evaluate("window.hurt") is None
    assert [one for one in browser.requests if not one.startswith(("file:", "data:"))] == []
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    assert browser.evaluate("document.querySelectorAll('ol li').length") == 60
    assert browser.evaluate("document.querySelectorAll('tbody tr').length") == 9
    inside = """
      [...document.querySelectorAll('.track')].every(track => [...track.children].every(piece => {
        const [out, own] = [track.getBoundingClientRect(), piece.getBoundingClientRect()];
        return own.left >= out.left - 1 && own.right <= out.right + 2 && own.width > 0;
      }))"""
    assert browser.evaluate(inside), "a piece lies outside its time line"
    colours = "new Set([...document.querySelectorAll('.track i')].map(i => getComputedStyle(i).backgroundColor)).size"
    assert browser.evaluate(colours) == 5
