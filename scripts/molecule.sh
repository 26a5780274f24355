#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# molecule.sh ARGUMENT...: run molecule with the checkout installed as a collection, and with what its scenarios share:
# a key to log in with, and the wheels that the daemon needs, since hosts in a scenario reach no package index.
# As in `scripts/molecule.sh test --all` or `scripts/molecule.sh converge --scenario-name vbmc`; as root. `test --all` runs the
# scenarios at the same time, since each waits for its hosts half of the time, and shows what each of them said at its end.
set -eu -o pipefail

cd "$(dirname "$0")/.."
# One at a time: each lays out the collection anew.
mkdir -p .cache/molecule
[[ ${BAREMETAL_LAB_CHECKOUT:-} == "$PWD" ]] || BAREMETAL_LAB_CHECKOUT=$PWD exec flock --close .cache/molecule/lock scripts/molecule.sh "$@"
export VIRTUAL_ENV=$PWD/.venv ANSIBLE_COLLECTIONS_PATH=$PWD/.cache/molecule LC_ALL=C.UTF-8
# Molecule keeps a scenario's state there, under a name that does not tell checkouts apart.
export ANSIBLE_HOME=$PWD/.cache/molecule/home
export MOLECULE_COMMAND_BORDERS=false
export PATH=$VIRTUAL_ENV/bin:$PATH

scripts/stage.sh .cache/molecule
[[ -e .cache/molecule/key ]] || ssh-keygen -q -t ed25519 -N '' -C baremetal.lab -f .cache/molecule/key
if ! cmp --silent roles/vbmc/files/constraints.txt .cache/molecule/wheels/constraints.txt; then
    rm -rf .cache/molecule/wheels
    pip download --quiet --disable-pip-version-check --only-binary :all: --python-version 3.11 \
        --dest .cache/molecule/wheels --requirement roles/vbmc/files/constraints.txt
    cp roles/vbmc/files/constraints.txt .cache/molecule/wheels/
fi

cd .cache/molecule/ansible_collections/baremetal/lab
[[ $* == "test --all" ]] || exec molecule "$@"

declare -A running
trap 'kill "${running[@]}" 2>/dev/null || true' EXIT
for folder in extensions/molecule/*/molecule.yml; do
    scenario=$(basename "$(dirname "$folder")")
    molecule test --scenario-name "$scenario" >"$scenario.log" 2>&1 &
    running[$scenario]=$!
done
failed=0
for scenario in "${!running[@]}"; do
    wait "${running[$scenario]}" || failed=1
    echo "=== molecule test --scenario-name $scenario"
    cat "$scenario.log"
done
exit "$failed"
