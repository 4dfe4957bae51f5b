#!/bin/sh
# What the README promises for a fresh machine, on a fresh Debian 13.
set -u
cd "$(dirname "$0")/../.."
. spec/systems/chroot
make_root "Debian 13" trixie "$(dpkg --print-architecture 2>/dev/null)"
make_in "Debian 13" demo test
