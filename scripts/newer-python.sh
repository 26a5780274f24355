#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# newer-python.sh: print the path of a Python 3.12 or 3.13, on PATH or pyenv's, or fail where there is none. ansible-core
# 2.20 and later want one, and it is newer than Debian 12's. Called by core.sh and the Makefile.
set -eu -o pipefail

for python in python3.12 python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[23].*/bin/python3; do
    # pyenv's shims are found for every version, and run for the one that is switched on.
    if "$python" -c 'import venv' 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
exit 1
