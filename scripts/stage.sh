#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# stage.sh FOLDER: copy the checkout (tracked files and new ones, nothing that git ignores) to
# FOLDER/ansible_collections/baremetal/lab, where ansible-test wants a collection to lie and refuses a symbolic link.
set -eu -o pipefail

cd "$(dirname "$0")/.."
collections=$1/ansible_collections
rm -rf "$collections"
mkdir -p "$collections/baremetal/lab"
git -c safe.directory="$PWD" ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do
        [[ ! -e $file ]] || printf '%s\0' "$file"
    done |
    tar --create --null --files-from=- |
    tar --extract --directory "$collections/baremetal/lab"

# A repository of its own, or ansible-test goes by the one around it, which ignores this folder.
git init --quiet "$collections/baremetal/lab"
