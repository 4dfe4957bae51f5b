#!/bin/sh
# A drain from three brokers of Apache Kafka that replicate everything, one of which is killed and comes back, then the next:
# each message is in one batch. It needs Java, and what `make kafka` has fetched.
set -u
cd "$(dirname "$0")/../.."
name="three brokers of Kafka"

pending() {
  echo "pending: $name ($1)"
  exit 77
}

[ -f build/kafka/fetched ] && command -v java >/dev/null || pending "make kafka"
command -v kcat >/dev/null || pending "kcat is not installed"
make -s all build/kafka_admin || exit 1
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
if LUA_PATH="$PWD/lua/?.lua;$PWD/spec/?.lua;;" LUA_CPATH="$PWD/build/?.so;;" \
  timeout 600 "${LUA:-lua5.4}" spec/scripts/kafka3.lua >"$log" 2>&1; then
  echo "ok: $name: $(tail -n 1 "$log")"
else
  tail -n 50 "$log"
  echo "failed: $name"
  exit 1
fi
