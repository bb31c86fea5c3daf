#!/bin/sh
# Installs Debian packages from the folder debs of a bundle and from nowhere else: offline_apt.sh OFFLINE_FOLDER PACKAGE...
set -eu
if [ ! -e "$1/debs/Packages" ]; then
  echo "offline_apt: found no $1/debs/Packages; wanted the folder offline of an unpacked bundle. Unpack it again, or leave OFFLINE away." >&2
  exit 2
fi
debs=$(readlink -f "$1")/debs
shift
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial"
# trusted: the checksums of the bundle were compared; no archive's signature is on this index.
echo "deb [trusted=yes] file:$(echo "$debs" | sed 's/ /%20/g') ./" >"$state/sources.list"
apt_offline() {
  # _apt, apt's own user, may not look into somebody's home folder.
  apt-get -qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$state/lists" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 "$@"
}
apt_offline update
if ! DEBIAN_FRONTEND=noninteractive apt_offline install --yes --no-install-recommends "$@" >"$state/said" 2>&1; then
  tail -n 15 "$state/said" >&2
  echo "offline_apt: found packages of this machine that the bundle does not fit; wanted a machine at most as new as the bundle. Make the bundle on a machine with the newest updates." >&2
  exit 2
fi
