#!/bin/sh
# Debian 12 with gcc and make, and nothing else: .ci/run passes. In a chroot, which needs root, debootstrap and 3 GB.
# MIRROR=http://deb.debian.org/debian is where packages come from; COMMAND=.ci/run is what is run.
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "a chroot needs root"; exit 77; }
command -v debootstrap >/dev/null || { echo "debootstrap is not installed"; exit 77; }

root=$(mktemp -d /var/tmp/debian-12.XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 130' INT TERM
debootstrap --variant=minbase bookworm "$root" "${MIRROR:-http://deb.debian.org/debian}" >"$root.log" 2>&1 || {
  cat "$root.log"
  rm -f "$root.log"
  exit 1
}
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc"

# A copy of what is tracked, or will be.
mkdir "$root/catalog"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$root/catalog"

# What is mounted and what runs ends with the namespaces.
# shellcheck disable=SC2016
unshare --mount --pid --fork --kill-child sh -c '
  mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" &&
    exec chroot "$1" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin ${http_proxy:+"http_proxy=$http_proxy"} sh -c "
      apt-get install -y -qq --no-install-recommends gcc make >/log 2>&1 || { cat /log; exit 1; }
      cd /catalog && $2"' sh "$root" "${COMMAND:-.ci/run}"
