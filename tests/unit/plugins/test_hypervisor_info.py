# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `hypervisor_info` on libvirt's own test driver, whose host has 3 GiB and 16 CPUs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.baremetal.lab.plugins.module_utils import _libvirt
from ansible_collections.baremetal.lab.plugins.modules import hypervisor_info

libvirt = pytest.importorskip("libvirt", reason="the distribution's libvirt binding (python3-libvirt) is missing")

STOPPED = (
    "<domain type='test'><name>n</name><memory unit='MiB'>96</memory><vcpu>3</vcpu><os><type>hvm</type></os></domain>"
)


def run(capsys: pytest.CaptureFixture[str], uri: str = "test:///default") -> dict[str, Any]:
    with patch_module_args({"uri": uri}), pytest.raises(SystemExit):
        hypervisor_info.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_a_host_tells_what_it_has_and_what_its_domains_take(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys)
    assert result["libvirt"]["running"] is True
    assert result["libvirt"]["driver"] == "TEST"
    assert result["libvirt"]["version"].count(".") == 2
    assert (result["host"]["memory_mb"], result["host"]["cpus"], result["host"]["memory_free_mb"]) == (3072, 16, None)
    assert result["defined"] == result["active"] == {"domains": 1, "memory_mb": 8192, "vcpus": 2}
    assert not result.get("changed")


def test_a_domain_that_is_shut_off_counts_as_defined_and_not_as_active() -> None:
    with _libvirt.connection("test:///default") as opened:
        opened.defineXML(STOPPED)
        result = hypervisor_info.read(opened)
    assert result["defined"] == {"domains": 2, "memory_mb": 8192 + 96, "vcpus": 5}
    assert result["active"]["domains"] == 1


def test_versions_are_read_as_libvirt_writes_them() -> None:
    assert hypervisor_info.version(7002022) == "7.2.22"


def test_a_host_where_libvirt_does_not_answer_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, uri="qemu+unix:///system?socket=/nowhere/libvirt-sock")
    assert result["libvirt"]["running"] is False
    assert "/nowhere/libvirt-sock" in result["libvirt"]["reason"]
    assert not result.get("failed")


def test_a_host_without_the_binding_is_no_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypervisor_info, "libvirt", None)
    assert "install python3-libvirt" in run(capsys)["libvirt"]["reason"]
