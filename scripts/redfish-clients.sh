#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Redfish clients that nobody here wrote, for the tests, in .cache/redfish: those of requirements/redfish.txt in a virtual
# environment, and of the package `ansible` one collection, which is a hundredth of it.
set -eu
cd "$(dirname "$0")/.."

ANSIBLE=12.3.0
folder=.cache/redfish

test -x "$folder/bin/pip" || /usr/bin/python3 -m venv "$folder"
"$folder/bin/pip" install --quiet -r requirements/redfish.txt

download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
"$folder/bin/pip" download --quiet --no-deps --dest "$download" "ansible==$ANSIBLE"
rm -rf "$folder/collections"
"$folder/bin/python" - "$download"/*.whl "$folder/collections" <<'END'
import sys
import zipfile

wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(target, [name for name in archive.namelist() if "ansible_collections/community/general/" in name])
END
