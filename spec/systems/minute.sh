#!/bin/sh
# How long it takes from `git clone` to data in the emulator, on a Debian 12 and a Debian 13 with git and make alone: what
# the README promises to who has never seen the project.
set -u
cd "$(dirname "$0")/../.."
. spec/systems/chroot

try() {
  suite=$1
  make_root "the first minute on $suite" "$suite" "$(dpkg --print-architecture 2>/dev/null)"
  inside apt-get install -y -qq --no-install-recommends git ||
    pending "the first minute on $suite (git cannot be installed)"
  inside apt-get clean
  git clone -q --bare . "$root/catalog.git" >>"$log" 2>&1 || pending "the first minute on $suite (this is no checkout)"
  began=$(date +%s)
  if inside sh -c 'git clone -q file:///catalog.git /root/catalog && make -C /root/catalog demo' &&
    grep -q '^[0-9]* of [0-9]* records are in' "$log"; then
    echo "ok: the first minute on $suite: $(($(date +%s) - began)) s from git clone to data in the emulator"
  else
    tail -n 100 "$log"
    echo "failed: the first minute on $suite"
    exit 1
  fi
}

status=0
for suite in ${SUITES:-bookworm trixie}; do
  (try "$suite") || status=$?
done
exit $status
