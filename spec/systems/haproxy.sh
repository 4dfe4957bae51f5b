#!/bin/sh
# The spec of HAProxy, where there is version 3 with Lua 5.4: Debian 13.
set -u
cd "$(dirname "$0")/../.."
. spec/systems/chroot
make_root "HAProxy 3" trixie "$(dpkg --print-architecture 2>/dev/null)"
inside apt-get install -y -qq --no-install-recommends haproxy || pending "HAProxy 3 (it cannot be installed)"
inside make -C /catalog deps-test
inside make -s -C /catalog specs SPECS=spec/haproxy_spec.lua
if grep -q '^[1-9][0-9]* passed, 0 failed' "$log" && ! grep -q pending "$log"; then
  echo "ok: HAProxy 3: $(grep -o '^[0-9]* passed, 0 failed' "$log" | tail -n 1)"
else
  tail -n 200 "$log"
  echo "failed: HAProxy 3"
  exit 1
fi
