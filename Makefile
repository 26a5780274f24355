# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make help` lists what there is. `make lab` and `make test` install all that they need, from package registries alone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

INVENTORY ?= examples/lab/inventory.yml
# Where `make status` writes the lab as an HTML page
PAGE ?= .cache/lab.html
# More arguments for ansible-playbook (make lab ARGS="--ask-become-pass") or pytest (make unit ARGS="-k domain")
ARGS ?=

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := .cache/stamps
DAEMON := roles/vbmc/files/vbmcd/src
COLLECTIONS := $(CURDIR)/$(VENV)/collections
# A host that freezes in the middle of a run is given up after half a minute (docs/hosts.md).
ALIVE := -o ServerAliveInterval=10 -o ServerAliveCountMax=3
PLAYBOOK = ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) ANSIBLE_SSH_EXTRA_ARGS="$(ALIVE) $${ANSIBLE_SSH_EXTRA_ARGS:-}" \
    $(BIN)/ansible-playbook -i $(INVENTORY) $(ARGS)

# ansible refuses a locale that is not UTF-8, and `make` may be started in any; pip needs no one to answer it.
export LC_ALL := C.UTF-8
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(BIN):$(PATH)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- A lab -----------------------------------------------------------------------------------------------------------

.PHONY: lab lab-down power status
lab: $(STAMPS)/collection ## bring up the lab of INVENTORY (default: the example, on this machine)
	$(PLAYBOOK) baremetal.lab.bring_up

lab-down: $(STAMPS)/collection ## remove that lab and nothing else
	$(PLAYBOOK) baremetal.lab.tear_down

power: $(STAMPS)/collection ## read that lab's power by its BMCs, or switch it (ARGS="-e power_state=on")
	$(PLAYBOOK) baremetal.lab.power

status: $(STAMPS)/collection ## show that lab's hypervisors, nodes, BMCs and power, here and as an HTML page (PAGE=FILE)
	$(PLAYBOOK) baremetal.lab.status -e lab_status_page="$(PAGE)"

# --- Checks and tests ------------------------------------------------------------------------------------------------

.PHONY: test test-inside test-outside lint types sanity cores oldest build publish-check molecule unit integration bench bench-lab soak
CHECKS := molecule lint types sanity cores oldest build publish-check
# Two at a time, since Molecule mostly waits for its hosts, and most of pytest's tests for guests and daemons (docs/testing.md).
test: $(STAMPS)/test $(STAMPS)/publish ## all checks and tests
	$(MAKE) --jobs 2 --output-sync=target $(CHECKS)
	$(MAKE) --jobs 2 --output-sync=target --keep-going test-inside test-outside
	REQUIRE_LIBVIRT=1 python -m pytest -m alone $(ARGS)

test-inside: $(STAMPS)/test
	REQUIRE_LIBVIRT=1 python -m pytest -m "not outside and not alone" --numprocesses 2 --dist loadfile $(ARGS)

test-outside: $(STAMPS)/test
	REQUIRE_LIBVIRT=1 python -m pytest -m outside $(ARGS)

lint: $(STAMPS)/test ## ansible-lint, yamllint, ruff, shellcheck
	ruff check .
	ruff format --check .
	shellcheck .ci/run scripts/*.sh
	yamllint --strict .
	scripts/stage.sh .cache/lint
	cd .cache/lint/ansible_collections/baremetal/lab && ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/.cache/lint ansible-lint --strict

types: $(STAMPS)/test ## mypy: strict for the daemon, and the plugins
	MYPYPATH=$(DAEMON) mypy --strict --python-version 3.10 --cache-dir .cache/mypy -p vbmcd
	scripts/stage.sh .cache/types
	cd .cache/types && mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.cache/mypy-plugins \
	    -p ansible_collections.baremetal.lab.plugins

sanity: $(STAMPS)/test ## ansible-test sanity, all of it
	scripts/sanity.sh

cores: $(STAMPS)/test ## sanity and unit tests with later versions of ansible-core
	$(MAKE) --jobs 2 --output-sync=target core-2.20 core-2.21

core-%: $(STAMPS)/test
	scripts/core.sh $*

oldest: $(STAMPS)/oldest ## the daemon's unit tests with the oldest libraries that it takes, which are Debian's
	.cache/oldest/bin/python -m pytest --quiet -o cache_dir=.cache/pytest-oldest tests/unit/vbmcd

build: $(STAMPS)/test ## build the collection, install it from the tarball, list its modules
	scripts/build.sh

publish-check: $(STAMPS)/publish ## what antsibull-docs, Galaxy's importer and ansible-builder say of the collection
	PATH=$(CURDIR)/.cache/publish/bin:$$PATH scripts/publish-check.sh

molecule: $(STAMPS)/test ## the roles on hosts with systemd, in podman (as root)
	scripts/molecule.sh test --all

unit: $(STAMPS)/test ## unit tests
	python -m pytest tests/unit $(ARGS)

integration: $(STAMPS)/test ## integration tests, with real libvirtd and QEMU (as root)
	REQUIRE_LIBVIRT=1 python -m pytest tests/integration $(ARGS)

bench: $(STAMPS)/test $(STAMPS)/bench $(STAMPS)/redfish ## benchmarks beside VirtualBMC and ipmi_sim; takes a while
	PYTHONPATH=tests python -m benchmarks $(ARGS)

bench-lab: $(STAMPS)/test ## a lab of 60 nodes on two hypervisors, with the time of each step (as root)
	LAB_NODES=60 REQUIRE_LIBVIRT=1 python -m pytest -s tests/integration/test_hypervisors.py $(ARGS)

soak: $(STAMPS)/test ## 200 BMCs under clients for two times ten minutes, the second with faults (as root; --quick)
	PYTHONPATH=tests python -m soak $(ARGS)

# --- Setting up ------------------------------------------------------------------------------------------------------

.PHONY: requirements clean
requirements: ## resolve requirements/*.in anew and pin the result
	for name in lab test publish; do \
	    rm -rf .cache/resolve; \
	    /usr/bin/python3 -m venv .cache/resolve; \
	    .cache/resolve/bin/pip install --quiet -r requirements/$$name.in; \
	    .cache/resolve/bin/pip freeze > requirements/$$name.txt; \
	done
	for name in core-2.20 core-2.21; do \
	    rm -rf .cache/resolve; \
	    "$$(scripts/newer-python.sh)" -m venv .cache/resolve; \
	    .cache/resolve/bin/pip install --quiet -r requirements/$$name.in; \
	    .cache/resolve/bin/pip freeze > requirements/$$name.txt; \
	done

clean: ## remove what was installed and built here (no lab: see lab-down)
	rm -rf $(VENV) .cache build dist tests/output

# The distribution's Python sees the distribution's libvirt binding, which wants to match the distribution's libvirt.
$(STAMPS)/lab: requirements/lab.apt requirements/lab.txt scripts/apt-install.sh
	scripts/apt-install.sh requirements/lab.apt
	test -x $(BIN)/pip || /usr/bin/python3 -m venv --system-site-packages $(VENV)
	$(BIN)/pip install --quiet -r requirements/lab.txt
	mkdir -p $(@D) && touch $@

$(STAMPS)/test: requirements/test.apt requirements/test.txt $(STAMPS)/lab
	scripts/apt-install.sh requirements/test.apt
	$(BIN)/pip install --quiet -r requirements/test.txt
	mkdir -p $(@D) && touch $@

$(STAMPS)/publish: requirements/publish.txt $(STAMPS)/lab
	test -x .cache/publish/bin/pip || /usr/bin/python3 -m venv .cache/publish
	.cache/publish/bin/pip install --quiet -r requirements/publish.txt
	mkdir -p $(@D) && touch $@

$(STAMPS)/oldest: requirements/oldest.txt $(STAMPS)/lab
	test -x .cache/oldest/bin/pip || /usr/bin/python3 -m venv --system-site-packages .cache/oldest
	.cache/oldest/bin/pip install --quiet -r requirements/oldest.txt
	mkdir -p $(@D) && touch $@

$(STAMPS)/bench: requirements/bench.txt
	test -x .cache/virtualbmc/bin/pip || /usr/bin/python3 -m venv --system-site-packages .cache/virtualbmc
	.cache/virtualbmc/bin/pip install --quiet -r requirements/bench.txt
	mkdir -p $(@D) && touch $@

$(STAMPS)/redfish: requirements/redfish.txt scripts/redfish-clients.sh
	scripts/redfish-clients.sh
	mkdir -p $(@D) && touch $@

# A VirtualBMC to take over from, and Redfish's clients.
test test-inside integration: $(STAMPS)/bench $(STAMPS)/redfish
molecule: $(STAMPS)/bench

# Folders are listed besides files, so that a removed file counts as a change.
COLLECTION_SOURCES := $(shell find galaxy.yml README.md LICENSE meta plugins roles playbooks \
    -name __pycache__ -prune -o -not -name '*.egg-info' -print)

$(STAMPS)/collection: $(STAMPS)/lab $(COLLECTION_SOURCES)
	rm -rf .cache/dist
	ansible-galaxy collection build --output-path .cache/dist
	ANSIBLE_COLLECTIONS_PATH=$(COLLECTIONS) ansible-galaxy collection install --force --no-deps --offline \
	    --collections-path $(COLLECTIONS) .cache/dist/*.tar.gz
	mkdir -p $(@D) && touch $@
