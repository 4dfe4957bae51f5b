#!/bin/sh
# What CI runs, on a Debian 12 that has gcc and make, and nothing else.
set -u
cd "$(dirname "$0")/../.."
. spec/systems/chroot
make_root "Debian 12" bookworm "$(dpkg --print-architecture 2>/dev/null)"
inside apt-get install -y -qq --no-install-recommends gcc
if inside /catalog/.ci/run; then
  echo "ok: Debian 12: .ci/run: $(tail -n 1 "$log")"
else
  grep -a -A 20 '^== \|FAILED\|^failed: ' "$log"
  tail -n 50 "$log"
  echo "failed: Debian 12: .ci/run"
  exit 1
fi
