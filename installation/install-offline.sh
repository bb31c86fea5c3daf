#!/bin/sh
# Sets Habitus up from this bundle, without a network: checks every file, installs the Debian packages, makes the environment.
set -eu
cd "$(dirname "$(readlink -f "$0")")"
wanted() { sed -n "s/^$1=//p" offline/target; }
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
architecture=$(dpkg --print-architecture)
if [ "$codename $architecture" != "$(wanted codename) $(wanted architecture)" ]; then
  echo "install-offline: found $codename $architecture; wanted $(wanted codename) $(wanted architecture). Use the bundle for this system." >&2
  exit 2
fi
echo "comparing checksums"
if ! sha256sum --check --quiet --strict SHA256SUMS; then
  echo "install-offline: found files that differ from SHA256SUMS; wanted the bundle as it was made. Copy and unpack it again." >&2
  exit 2
fi
if ! command -v make >/dev/null; then
  echo "installing: make"
  if [ "$(id -u)" = 0 ]; then sh installation/offline_apt.sh offline make; else sudo sh installation/offline_apt.sh offline make; fi
fi
make --no-print-directory setup OFFLINE=offline EXTRA="$(wanted extra)"
echo "next: make demo, or make install (docs/install.md)"
