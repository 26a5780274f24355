#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh: build the collection, install it from the tarball into a fresh folder, and check that every module is
# there and documented and that nothing of a checkout's rubbish came along. Called by the Makefile.
set -eu -o pipefail

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ansible-galaxy collection build --output-path "$work"
tarball=$(echo "$work"/baremetal-lab-*.tar.gz)

rubbish=$(tar --list --file "$tarball" | grep -E '(^|/)(\.(venv|cache|git|mypy_cache)|__pycache__|output)(/|$)' || true)
if [[ -n $rubbish ]]; then
    printf 'build: these have no place in the tarball, see build_ignore in galaxy.yml:\n%s\n' "$rubbish" >&2
    exit 1
fi

export ANSIBLE_COLLECTIONS_PATH=$work
ansible-galaxy collection install --offline --collections-path "$work" "$tarball"
listed=$(ansible-doc --list --type module baremetal.lab | cut -d ' ' -f 1)
expected=$(printf '%s\n' plugins/modules/*.py | sed 's,.*/,baremetal.lab.,; s/\.py$//')
if [[ $listed != "$expected" ]]; then
    printf 'build: the installed collection documents these modules:\n%s\nbut has these:\n%s\n' "$listed" "$expected" >&2
    exit 1
fi
printf '%s: %s files, %s bytes\n' "$(basename "$tarball")" "$(tar --list --file "$tarball" | wc -l)" "$(stat -c %s "$tarball")"
