#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# apt-install.sh FILE...: install the Debian packages that the files list and that are missing. Called by the Makefile.
set -eu -o pipefail

mapfile -t wanted < <(grep --no-filename --invert-match --extended-regexp '^\s*(#|$)' "$@")

if ! command -v apt-get >/dev/null; then
    echo "no apt-get here: make sure that this system's counterparts of these are installed: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

root=()
if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || {
        echo "these packages are missing: ${missing[*]}; install them, or run this again as root or where sudo works" >&2
        exit 1
    }
    root=(sudo)
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --option Dpkg::Use-Pty=0)
"${apt[@]}" update
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}"
