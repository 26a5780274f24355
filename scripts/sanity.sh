#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# sanity.sh [ARGUMENT...]: run `ansible-test sanity --local` over a copy of the checkout, all of it unless arguments say
# otherwise. Called by the Makefile, and by core.sh, which names another environment than .venv with ENVIRONMENT.
#
# ansible-test makes virtual environments of its own and fetches pip for them from a site of Ansible's. A home folder
# of its own, made by sanity_home.py, gives it pip from the package index instead, and keeps the user's home out of it.
set -eu -o pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
environment=${ENVIRONMENT:-$root/.venv}
cache=$root/.cache/sanity/$(basename "$environment")

# Each Python that really runs is tested with: pyenv's shims only do for the version that is switched on.
pythons=$environment/bin:/usr/local/bin:/usr/bin:/bin
versions=${PYENV_ROOT:-~/.pyenv}/versions
for version in 3.8 3.9 3.10 3.11 3.12 3.13; do
    for python in "$versions/$version".*/bin/python"$version"; do
        if "$python" -c 'import venv' 2>/dev/null; then
            pythons+=:$(dirname "$python")
            break
        fi
    done
done

"$root/scripts/stage.sh" "$cache"
"$environment/bin/python" "$root/scripts/sanity_home.py" "$cache/home"
cd "$cache/ansible_collections/baremetal/lab"
exec env HOME="$cache/home" PATH="$pythons" ansible-test sanity --local --color no "$@"
