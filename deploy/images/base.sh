#!/usr/bin/env bash
# The base image of our images on a machine without Docker: this distribution's Python and nothing else,
# from the package sources this machine already uses. With Docker the Dockerfiles' default base is pulled instead.
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

# shellcheck disable=SC1091
CODENAME=$(. /etc/os-release && echo "$VERSION_CODENAME")
# libstdc++6: TensorFlow's and numpy's shared objects; an image without apt does not have it otherwise.
PACKAGES=python3,python3-venv,ca-certificates,libstdc++6
NAME=localhost/trainingjob/base:$CODENAME-$(digest deploy/images/base.sh)

sources() { # the distribution's own entries only: third-party ones may be unreachable and are not needed
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed=
  [ -e "$keyring" ] && [ -s /etc/debian_version ] && grep -q '^ID=debian' /etc/os-release && signed="[signed-by=$keyring] "
  apt-get indextargets --format "\$(ORIGIN)|deb $signed\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
    grep -E '^(Debian|Ubuntu)\|' | cut -d'|' -f2- | grep -F " $CODENAME" | sort -u
}

# $1 in the hook is mmdebstrap's: the new root
# shellcheck disable=SC2016
build() {
  sources | mmdebstrap --variant=essential --include="$PACKAGES" --format=tar \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/*' \
    "$CODENAME" "$TAR" -
}

if ! buildah inspect --type image "$NAME" >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  TAR=$work/rootfs.tar
  heartbeat "base image ($CODENAME, python3)" build
  container=$(buildah from scratch)
  buildah add -q "$container" "$work/rootfs.tar" / >/dev/null
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env LANG=C.UTF-8 --cmd python3 "$container"
  buildah commit -q --rm "$container" "$NAME" >/dev/null
fi
echo "$NAME"
