#!/usr/bin/env bash
# Installs what the tests use from the mirror that this machine's apt is set up with. Root only.
set -euo pipefail

packages=(
    lmod zsh fish ksh tcsh              # the shells and Lmod that the hooks are tested in
    lua5.1 lua5.2 luajit                # other Luas to run Lmod by
    tcl                                 # Tcl modulefiles
    git squashfs-tools squashfuse skopeo umoci zstd   # read our images back
    docker-registry podman crun bubblewrap        # run them, pass them on
    pax-utils                           # lddtree, a second opinion on what ELF files need
    python3-jsonschema golang-github-opencontainers-image-spec-dev   # the OCI's schemas
    fakeroot tmux busybox-static
    python3 python3-venv patchelf gcc g++ libc6-dev binutils   # build the look-alike; libFuzzer
)

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :)
    [[ $state == installed ]] || missing+=("$package")
done
# the look-alike and Apptainer are resolved from the same lists
lists=(/var/lib/apt/lists/*Packages*)
if ((${#missing[@]})) || [[ ! -e ${lists[0]} ]]; then
    apt-get -qq update
fi
if ((${#missing[@]})); then
    echo "installing: ${missing[*]}" >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
fi

# the ordinary user as whom images are run
id module-export-tester >/dev/null 2>&1 || useradd --create-home --shell /bin/bash module-export-tester
# without udev it is root's alone
if [[ -c /dev/fuse ]]; then chmod 666 /dev/fuse; fi
