#!/bin/sh
# 32 bits: the specs in an i386 Debian, of the version of this machine.
set -u
cd "$(dirname "$0")/../.."
. spec/systems/chroot
[ "$(uname -m)" = x86_64 ] || pending "32 bits (i386 runs on x86_64)"
make_root "32 bits" "$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")" i386
make_in "32 bits" demo test
