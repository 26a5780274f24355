# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page in a real browser: what it shows, to whom, and that it wants nothing from anybody.

What is in it is test_lab_report.py's; that the playbook writes it, test_lab.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_page import page
from ansible_collections.baremetal.lab.plugins.plugin_utils.lab_report import report
from rig.browser import Browser
from rig.lab import LAB, bmc, domain, node, running, told

TEMPLATES = Path(__file__).resolve().parents[2] / "roles/lab/templates/status"
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
NODES = 60
HOSTILE = "<img src=x onerror=\"window.hurt='node'\"><script>window.hurt='script'</script>&amp;{{ 7 * 7 }}'"
LONG = "a-name-without-an-end-" * 8

VISIBLE_ROWS = "[...document.querySelectorAll('tbody tr')].filter(row => row.checkVisibility()).length"
CONTRASTS = """
(() => {
  const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = colour => colour.match(/[\\d.]+/g).map(Number);
  const back = element => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('body *')].filter(element =>
    element.checkVisibility() && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return texts.map(element => {
    const [one, other] = [parse(getComputedStyle(element).color), back(element)].map(luminance).sort((a, b) => b - a);
    return [(one + 0.05) / (other + 0.05), element.textContent.trim().slice(0, 40)];
  });
})()
"""


def lab_of_sixty() -> str:
    """Thirty nodes on a hypervisor that is well, one with a problem there, the others on one that can't be reached."""
    names = [f"compute-{number:02}" for number in range(1, NODES + 1)]
    nodes = [node(name, "hv1" if number < 31 else "hv2") for number, name in enumerate(names)]
    well = running(*names[:30])
    well["power"][names[0]] = {"power": "off"}
    well["bmcs"]["instances"].append(bmc(names[30], "error", reason="192.0.2.99 is not an address of this host"))
    well["domains"]["domains"].append(domain(names[30]))
    return page(report(LAB, nodes, {"hv1": well, "hv2": {"unreachable": "no route to host"}}), str(TEMPLATES), NOW)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as chromium:
        yield chromium


@pytest.fixture
def sixty(browser: Browser, tmp_path: Path) -> Browser:
    file = tmp_path / "lab.html"
    file.write_text(lab_of_sixty())
    browser.look(1280)
    browser.open(file)
    return browser


def text(browser: Browser, selector: str) -> list[str]:
    found: list[str] = browser.evaluate(f"[...document.querySelectorAll('{selector}')].map(one => one.innerText)")
    return found


def test_the_page_shows_hypervisors_nodes_and_what_needs_a_look(sixty: Browser) -> None:
    assert sixty.evaluate("document.title") == "Lab rack-7: 29 of 60 nodes on"
    assert text(sixty, "h1, h2") == ["Lab rack-7", "Needs a look", "Hypervisors", "Nodes"]
    assert text(sixty, ".tiles dd") == ["1 of 2", "29 of 60", "1", "30", "2"]
    assert text(sixty, ".problems b") == ["hv2", "compute-31"]
    assert text(sixty, ".card h3") == ["hv1", "hv2"]
    assert text(sixty, ".card .badge") == ["ok", "unreachable"]
    assert sixty.evaluate(VISIBLE_ROWS) == NODES
    first = text(sixty, "tbody tr:first-child > *")
    assert first == ["compute-01", "off", "192.0.2.11:6230", "hv1", "running", "4", "4"]
    assert text(sixty, "time") == ["2026-05-04, 03:02 UTC"]


def test_the_page_wants_nothing_but_itself(sixty: Browser) -> None:
    assert [request.partition(":")[0] for request in sixty.requests if not request.startswith("data:")] == ["file"]
    assert (
        sixty.evaluate("document.scripts.length + document.querySelectorAll('[src], link[rel=stylesheet]').length") == 0
    )


def test_hostile_names_are_shown_and_do_nothing(browser: Browser, tmp_path: Path) -> None:
    has = told([domain(HOSTILE)], [bmc(HOSTILE, "error", reason=HOSTILE)], {HOSTILE: HOSTILE})
    has["bmcs"]["daemon"]["version"] = has["host"]["libvirt"]["version"] = HOSTILE
    has["address"] = f"{HOSTILE}!"
    (tmp_path / "lab.html").write_text(
        page(
            report(HOSTILE, [node(HOSTILE, HOSTILE)], {HOSTILE: has, "hv2": {"unreachable": HOSTILE}}),
            str(TEMPLATES),
            NOW,
        )
    )
    browser.look(1280)
    browser.open(tmp_path / "lab.html")
    assert browser.evaluate("window.hurt") is None
    assert browser.evaluate("document.scripts.length + document.images.length") == 0
    assert browser.evaluate("document.querySelector('h1').textContent") == f"Lab {HOSTILE}"
    assert browser.evaluate("document.querySelector('tbody th').textContent") == HOSTILE
    assert text(browser, ".card dd")[0] == f"{HOSTILE}!"


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_nothing_sticks_out_of_any_window(browser: Browser, tmp_path: Path, width: int) -> None:
    redfish = {"enabled": True, "tls": True, "port": 65535, "address": "2001:db8:1111:2222:3333:4444:5555:6666"}
    has = told([domain(LONG)], [bmc(LONG, "error", reason=LONG, redfish=redfish)], {LONG: LONG})
    (tmp_path / "lab.html").write_text(
        page(report(LONG, [node(LONG, LONG)], {LONG: has, "hv2": {"unreachable": LONG}}), str(TEMPLATES), NOW)
    )
    browser.look(width)
    browser.open(tmp_path / "lab.html")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_told_from_its_background(sixty: Browser, scheme: str) -> None:
    sixty.look(1280, scheme=scheme)
    contrasts = sixty.evaluate(CONTRASTS)
    assert len(contrasts) > NODES
    assert [text for contrast, text in contrasts if contrast < 4.5] == []  # WCAG 2.2, 1.4.3
    dark = sixty.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (dark == "rgb(18, 22, 28)") is (scheme == "dark")


def test_the_table_can_be_narrowed_with_the_keyboard_and_without_scripts(sixty: Browser) -> None:
    sixty.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        sixty.evaluate("document.querySelector('#show-all').focus()")
        for expected in (29, 1, 30, 1):
            for kind in ("rawKeyDown", "keyUp"):
                sixty.call(
                    "Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39
                )
            assert sixty.evaluate(VISIBLE_ROWS) == expected
    finally:
        sixty.call("Emulation.setScriptExecutionDisabled", value=False)


def test_on_paper_all_nodes_are_there_and_no_control(sixty: Browser) -> None:
    sixty.evaluate("document.querySelector('#show-off').click()")
    assert sixty.evaluate(VISIBLE_ROWS) == 1
    sixty.look(800, scheme="dark", media="print")
    assert sixty.evaluate(VISIBLE_ROWS) == NODES
    assert sixty.evaluate("document.querySelector('.filter').checkVisibility()") is False
    assert sixty.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert sixty.pdf().startswith(b"%PDF-")


@pytest.mark.parametrize("width", [360, 1280])
def test_a_screen_reader_finds_a_table_with_headers(sixty: Browser, width: int) -> None:
    sixty.look(width)
    roles = [one["role"]["value"] for one in sixty.call("Accessibility.getFullAXTree")["nodes"] if not one["ignored"]]
    assert roles.count("table") == 1
    assert roles.count("columnheader") == 7
    assert roles.count("rowheader") == NODES
    assert roles.count("main") == 1
    assert roles.count("radio") == 5
