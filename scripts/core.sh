#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# core.sh VERSION: the checks and tests that depend on ansible-core, with the one that requirements/core-VERSION.txt pins,
# in an environment of its own (.cache/core/VERSION). Called by the Makefile. Where no Python is new enough, says so.
set -eu -o pipefail

version=$1
cd "$(dirname "$0")/.."
export ENVIRONMENT=$PWD/.cache/core/$version

python=$(scripts/newer-python.sh) || {
    echo "ansible-core $version: SKIPPED, for it needs Python 3.12 or 3.13, on PATH or pyenv's" >&2
    exit 0
}
if ! cmp --silent "requirements/core-$version.txt" "$ENVIRONMENT/installed"; then
    rm -rf "$ENVIRONMENT"
    "$python" -m venv "$ENVIRONMENT"
    "$ENVIRONMENT/bin/pip" install --quiet -r "requirements/core-$version.txt"
    cp "requirements/core-$version.txt" "$ENVIRONMENT/installed"
fi

# Imports by the oldest Python of a managed host that this core knows, and the rest by the controller's.
controller=$("$ENVIRONMENT/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
scripts/sanity.sh --python 3.9 --test import
scripts/sanity.sh --python "$controller" --test import --test ansible-doc --test validate-modules --test runtime-metadata
PATH=$ENVIRONMENT/bin:$PATH "$ENVIRONMENT/bin/python" -m pytest --quiet -o cache_dir=".cache/pytest-$version" tests/unit/plugins
