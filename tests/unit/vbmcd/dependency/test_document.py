# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dependencies as XML, and the rules that they have to keep."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbmcd.dependency import document
from vbmcd.dependency.model import CHOICES, Dependency, DependencyError, Graph, Signal, rules, rules_of

UUID_B = "6e7e5b0e-2a5c-4c0e-9d2a-0f6a1a6b3a01"
B = Dependency("B", UUID_B)

_names = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters=" <&\"'-_"), min_size=1)
_dependencies = st.builds(
    Dependency,
    _names,
    st.uuids().map(str),
    signals=st.frozensets(st.sampled_from(Signal)),
    **{name: st.sampled_from(choices) for name, choices in CHOICES.items()},
)


@given(st.lists(_dependencies))
def test_what_is_written_is_read(dependencies: list[Dependency]) -> None:
    root = document.element(dependencies)
    assert document.parse(ET.tostring(root, encoding="unicode"), "A") == tuple(dependencies)
    assert document.parse(document.bare(root), "A") == tuple(dependencies)


def test_the_form_is_fixed() -> None:
    dependencies = [
        replace(B, order="after", signals=frozenset([Signal.START, Signal.DESTROY])),
        Dependency("C", file="/srv/c.xml"),
    ]
    assert ET.tostring(document.element(dependencies), encoding="unicode") == (
        '<dep:dependencies xmlns:dep="urn:baremetal.lab:dependencies:1">'
        f'<dep:domain uuid="{UUID_B}" name="B" order="after" signals="start destroy" />'
        '<dep:domain file="/srv/c.xml" name="C" /></dep:dependencies>'
    )


@pytest.mark.parametrize(
    "item",
    [
        "<domain name='B'/>",
        "<domain uuid='x' name='B'/>",
        "<domain file='/b.xml' name='B' order='sideways'/>",
        "<domain file='/b.xml' name='B' signals='start jump'/>",
        "<domain",
    ],
)
def test_rubbish_names_the_domain_and_the_remedy(item: str) -> None:
    with pytest.raises(DependencyError, match="domain 'A' can't be used: .*declare them anew"):
        document.parse(f"<dependencies>{item}</dependencies>", "A")


def domain(tmp_path: Path, text: str) -> str:
    path = tmp_path / "b.xml"
    path.write_text(text)
    return str(path)


def test_the_seeds_element_is_taken_out_and_understood(tmp_path: Path) -> None:
    path = domain(tmp_path, f"<domain type='qemu'><name>B</name><uuid>{UUID_B.upper()}</uuid></domain>")
    definition = ET.fromstring(
        "<domain type='qemu'><name>A</name><devices>"
        f"<domaindependency>\n {path}\n</domaindependency></devices></domain>"
    )
    assert document.take_seeds(definition) == (Dependency("B", UUID_B, path),)
    assert definition.find("devices/domaindependency") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<domain type='qemu'>", "well-formed"),
        ("<network><name>B</name></network>", "no domain XML"),
        ("<domain type='qemu'/>", "<name>"),
        ("<domain type='xen'><name>B</name></domain>", "'xen'"),
        ("<domain type='qemu'><name>B</name><uuid>none</uuid></domain>", "'none'"),
        ("<domain type='qemu'><name>B</name></domain>" + " " * (1 << 20), "larger than"),
        (
            "<domain type='kvm'><name>B</name><devices><domaindependency>/c</domaindependency></devices></domain>",
            "one level",
        ),
    ],
)
def test_a_file_that_can_not_be_names_domain_and_file(tmp_path: Path, text: str, message: str) -> None:
    path = domain(tmp_path, text)
    with pytest.raises(DependencyError, match=f"domain 'A' depends on the file '{path}'.*{message}"):
        document.of_file(path, "A")


@pytest.mark.parametrize(("path", "message"), [("b.xml", "absolute"), ("/no/such/b.xml", "No such file")])
def test_a_path_that_leads_nowhere_is_named(path: str, message: str) -> None:
    with pytest.raises(DependencyError, match=f"'{path}'.*{message}"):
        document.of_file(path, "A")


def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DependencyError, match="no regular file"):
        document.of_file(str(tmp_path / "pipe"), "A")


def test_a_file_that_describes_another_domain_by_now_is_refused(tmp_path: Path) -> None:
    path = domain(tmp_path, "<domain type='qemu'><name>B</name></domain>")
    declared = document.of_file(path, "A")
    assert "<name>B</name>" in document.read_target(declared)
    domain(tmp_path, "<domain type='qemu'><name>C</name></domain>")
    with pytest.raises(DependencyError, match=f"the file '{path}' describes the domain 'C' now"):
        document.read_target(declared)


@pytest.mark.parametrize(
    ("dependency", "required"),
    [
        (B, True),
        (replace(B, on_failure="keep"), True),
        (replace(B, on_failure="ignore"), False),
        (replace(B, signals=frozenset([Signal.DESTROY])), False),
    ],
)
def test_only_what_is_started_with_its_master_is_required(dependency: Dependency, required: bool) -> None:
    assert dependency.required is required


def _rules(edges: dict[str, list[str]], **types: str) -> list[str]:
    graph = Graph()
    for master, others in edges.items():
        graph.add(master, master, tuple(Dependency(other, other) for other in others))
    return rules(graph, types)


def test_one_level_is_fine() -> None:
    assert _rules({"A": ["B", "C"], "M": ["B"]}, A="kvm", B="qemu") == []


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ({"A": ["A"]}, "domain 'A' can't depend on itself"),
        ({"A": ["B"], "B": ["C"]}, "domain 'A' can't depend on 'B', which itself depends on 'C'"),
        ({"A": ["B"], "B": ["A"]}, "domain 'A' can't depend on 'B', which itself depends on 'A'"),
        ({"A": ["B", "B"]}, "domain 'A' depends twice on 'B'"),
    ],
)
def test_the_rules_name_the_domains(edges: dict[str, list[str]], message: str) -> None:
    assert any(problem.startswith(message) for problem in _rules(edges))


@pytest.mark.parametrize(
    ("dependencies", "message"),
    [
        ([B, Dependency("B", file="/b.xml")], "domain 'A' depends twice on 'B'"),
        ([Dependency("M", "0000", "/m.xml")], "domain 'A' can't depend on 'M', which itself depends on 'B'"),
    ],
)
def test_a_file_is_known_by_the_name_in_it(dependencies: list[Dependency], message: str) -> None:
    graph = Graph()
    graph.add("uuid-a", "A", tuple(dependencies))
    graph.add("uuid-m", "M", (B,))
    assert any(problem.startswith(message) for problem in rules_of(graph, "uuid-a", {}))


def test_what_a_file_names_can_not_become_a_master() -> None:
    graph = Graph()
    graph.add("uuid-a", "A", (Dependency("M", file="/m.xml"),))
    graph.add("uuid-m", "M", (B,))
    (problem,) = rules_of(graph, "uuid-m", {})
    assert problem.startswith("domain 'M' can't have dependencies, for 'A' depends on it")


def test_both_have_to_be_qemus() -> None:
    (problem,) = _rules({"A": ["B"]}, A="kvm", B="lxc")
    assert "'B' is of type 'lxc'" in problem
