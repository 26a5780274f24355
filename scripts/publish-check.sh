#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# publish-check.sh: what those say of the collection who show and ship it. The docsite's linter over all documentation,
# Galaxy's importer over the tarball, the changelog's linter, and the builder of execution environments. Called by the
# Makefile, with their programs on PATH. Any warning is an error.
set -eu -o pipefail

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    printf 'publish-check: %s\n' "$1" >&2
    cat "$2" >&2
    exit 1
}

scripts/stage.sh "$work"
antsibull-docs lint-collection-docs --plugin-docs --disallow-unknown-collection-refs --validate-collection-refs dependent \
    "$work/ansible_collections/baremetal/lab"
antsibull-changelog lint

# The importer runs ansible-lint where there is one; here `make lint` does.
printf '[galaxy-importer]\nRUN_ANSIBLE_LINT = False\nCHECK_REQUIRED_TAGS = True\n' >"$work/importer.cfg"
ansible-galaxy collection build --output-path "$work" >/dev/null
(
    cd "$work"
    HOME=$work GALAXY_IMPORTER_CONFIG=$work/importer.cfg python -m galaxy_importer.main baremetal-lab-*.tar.gz
) >"$work/importer.log" 2>&1 || fail "galaxy-importer refuses the tarball" "$work/importer.log"
grep --quiet '^Importer processing completed successfully' "$work/importer.log" || fail "galaxy-importer came to no end" "$work/importer.log"
! grep --quiet --extended-regexp '^(WARNING|ERROR)' "$work/importer.log" || fail "galaxy-importer warns" "$work/importer.log"

ansible-builder introspect "$work" >"$work/introspect.log" 2>&1 || fail "ansible-builder can't read meta" "$work/introspect.log"
grep --quiet 'from collection baremetal.lab' "$work/introspect.log" ||
    fail "ansible-builder finds no requirement of the collection" "$work/introspect.log"
ansible-builder create --file examples/execution-environment.yml --context "$work/context" >"$work/create.log" 2>&1 ||
    fail "ansible-builder refuses the example" "$work/create.log"
[[ -s $work/context/Containerfile ]] || fail "ansible-builder made no Containerfile" "$work/create.log"
echo "publish-check: documentation, changelog, tarball and execution environment are as their tools want them"
