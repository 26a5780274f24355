#!/usr/bin/env bash
# Copyright (c) 2026, the baremetal.lab authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# host-image.sh minimal|hypervisor: print the name of a podman image of a Debian 12 host with systemd and sshd, which is
# made first where there is none. `minimal` is what an installer leaves behind; in `hypervisor` the packages of the roles
# hypervisor and vbmc are there already, for hosts that reach no mirror. Both are named after what they are made from, so
# another way to make them, or other packages, makes new ones, and checkouts share them. Called by the Molecule scenarios; as root.
set -eu -o pipefail

cd "$(dirname "$0")/.."
CONTAINERS_CONF=$PWD/extensions/molecule/containers.conf
export CONTAINERS_CONF
name=localhost/baremetal-lab-host

# The packages that variables of roles name by default, as ROLE:VARIABLE.
packages() {
    python3 -c '
import sys, yaml
for role, variable in (argument.split(":") for argument in sys.argv[1:]):
    print(*yaml.safe_load(open(f"roles/{role}/defaults/main.yml"))[variable], sep="\n")
' "$@"
}

minimal() {
    mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
        --include=systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,ca-certificates,sudo,iproute2,procps \
        bookworm - | podman import --quiet --change 'CMD ["/sbin/init"]' - "$1" >/dev/null
}

hypervisor() {
    local container
    container=$(podman create "$(image minimal)" sh -euc '
        export DEBIAN_FRONTEND=noninteractive
        printf "#!/bin/sh\nexit 101\n" > /usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        apt-get --quiet --quiet update
        apt-get --quiet --quiet --option Dpkg::Use-Pty=0 --option Dpkg::Options::=--force-unsafe-io \
            install --yes --no-install-recommends "$@" >/dev/null
        apt-get clean
        rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/*
    ' install "${wanted[@]}")
    podman start --attach "$container" >&2
    podman commit --quiet --change 'CMD ["/sbin/init"]' "$container" "$1" >/dev/null
    podman rm "$container" >/dev/null
}

# Two at once make one image.
image() {
    local kind=$1 tag
    local -a wanted=()
    [[ $kind == minimal ]] || mapfile -t wanted < <(packages hypervisor:hypervisor_packages vbmc:vbmc_packages vbmc:vbmc_distribution_packages)
    tag=$name:$kind-$({ declare -f minimal; [[ $kind == minimal ]] || declare -f hypervisor; echo "${wanted[@]}"; } |
        sha256sum | cut -c 1-12)
    (
        flock 9
        podman image exists "$tag" || "$kind" "$tag"
    ) 9>"${TMPDIR:-/tmp}/baremetal-lab-host-$kind.lock"
    echo "$tag"
}

case ${1:-} in
    minimal | hypervisor) image "$1" ;;
    *)
        echo "host-image.sh: say which: minimal or hypervisor" >&2
        exit 2
        ;;
esac
