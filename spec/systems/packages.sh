#!/bin/sh
# Debian's packages on Debian 12 and on Debian 13: built there, looked at by the lintian of that version, installed,
# tried by their own tests (debian/tests), and removed, with nothing left.
set -u
cd "$(dirname "$0")/../.."
. spec/systems/chroot

# must WHAT COMMAND...: runs it in $root; ends with what it has said where it fails.
must() {
  what=$1
  shift
  inside "$@" && return
  tail -n 100 "$log"
  echo "failed: packages on $suite: $what"
  exit 1
}

try() {
  suite=$1
  make_root "packages on $suite" "$suite" "$(dpkg --print-architecture 2>/dev/null)"
  must "they are not built well" make -s -C /catalog deb
  must "autopkgtest is not installed" apt-get install -y -qq --no-install-recommends autopkgtest
  inside sh -c 'find / -xdev -type f ! -path "/proc/*" ! -path "/var/*" | sort >/before'
  must "they cannot be installed" sh -c 'apt-get install -y --no-install-recommends /catalog/build/deb/*.deb'
  must "they cannot be removed" sh -c 'apt-get purge -y --autoremove "lua-catalog*"'
  must "they leave something" sh -c '
    find / -xdev -type f ! -path "/proc/*" ! -path "/var/*" | sort >/after
    left=$(comm -13 /before /after | grep -i catalog)
    [ -z "$left" ] || { echo "$left"; exit 1; }'
  must "their tests fail" sh -c 'autopkgtest /catalog/build/deb/*.deb /catalog/ -- null'
  echo "ok: packages on $suite: $(grep '^[a-z]* *PASS' "$log" | sort -u | wc -l) tests passed"
}

status=0
for suite in ${SUITES:-bookworm trixie}; do
  (try "$suite") || status=$?
done
exit $status
