# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README.md claims of the collection is what the collection is, and what it points to is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
README = (CHECKOUT / "README.md").read_text()
PAGES = ["README.md", *sorted(str(page.relative_to(CHECKOUT)) for page in CHECKOUT.glob("docs/**/*.md"))]
INTERNAL_FILTERS = {"bmc_addresses", "lab_graph", "lab_nodes", "lab_plan", "lab_page", "lab_report", "lab_targets"}
"""The roles' own tools, documented by ansible-doc; nothing that a reader of the README looks for."""


def table() -> dict[str, list[str]]:
    """Kind to names, of the table of what is in the collection; a kind holds until the next."""
    found: dict[str, list[str]] = {}
    kind = ""
    for line in README.splitlines():
        cells = re.match(r"\| *([a-z ]*?) *\| `baremetal\.lab\.(\w+)` \|", line)
        if cells:
            kind = cells[1] or kind
            found.setdefault(kind, []).append(cells[2])
    return found


def modules() -> list[str]:
    return sorted(path.stem for path in CHECKOUT.glob("plugins/modules/*.py"))


def test_the_table_has_every_module_role_playbook_and_plugin() -> None:
    listed = {kind: sorted(names) for kind, names in table().items()}
    there = {
        "module": modules(),
        "role": sorted(path.name for path in CHECKOUT.glob("roles/*") if path.is_dir()),
        "playbook": sorted(path.stem for path in CHECKOUT.glob("playbooks/*.yml")),
    }
    for folder in ("inventory", "callback", "filter", "lookup"):
        names = {path.stem for path in CHECKOUT.glob(f"plugins/{folder}/*.py")} - {"__init__"} - INTERNAL_FILTERS
        if names:
            there[f"{folder} plugin"] = sorted(names)
    assert listed == there


def test_every_module_is_in_one_action_group_and_the_readme_tells_which() -> None:
    groups = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())["action_groups"]
    assert sorted(name for group in groups.values() for name in group) == modules()
    assert "`baremetal.lab.lab`, for `module_defaults`" in README
    for name in groups["bmc"]:
        assert f"`{name}`" in README.partition("`baremetal.lab.lab`")[2].partition("are in `baremetal.lab.bmc`")[0]


def test_the_oldest_ansible_core_is_what_the_collection_requires_and_is_tested_with() -> None:
    runtime = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text())
    [oldest] = re.findall(r"\| ansible-core \| (\d+\.\d+)", README)
    assert runtime["requires_ansible"] == f">={oldest}.0"
    assert f"ansible-core=={oldest}." in (CHECKOUT / "requirements/lab.txt").read_text()


def test_every_core_that_the_readme_names_has_its_requirements() -> None:
    [row] = re.findall(r"\| ansible-core \|.*", README)
    tested = {path.stem.removeprefix("core-") for path in CHECKOUT.glob("requirements/core-*.txt")}
    assert tested < set(re.findall(r"2\.\d+", row))


def test_make_knows_every_target_that_the_readme_names() -> None:
    told = subprocess.run(["make", "help"], cwd=CHECKOUT, check=True, text=True, stdout=subprocess.PIPE).stdout
    targets = {line.split()[0] for line in told.splitlines()}
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", README, flags=re.MULTILINE))
    assert {"lab", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    folder = (CHECKOUT / page).parent
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", (CHECKOUT / page).read_text())
    missing = [link for link in links if "://" not in link and not (folder / link).exists()]
    assert missing == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    new = [CHECKOUT / "README.md"]
    while new:
        page = new.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#]+\.md)(?:#[^)]*)?\)", page.read_text())
        found = [(page.parent / link).resolve() for link in links if "://" not in link]
        new += [one for one in found if one not in reached and one.exists()]
    assert [page for page in PAGES if CHECKOUT / page not in reached] == []
