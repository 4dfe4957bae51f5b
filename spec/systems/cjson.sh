#!/bin/sh
# The specs with another lua-cjson, whose sources lie in CJSON_DIR: OpenResty's, say, which LuaRocks has.
set -u
cd "$(dirname "$0")/../.."
LUA=${LUA:-lua5.4}
if [ ! -f "${CJSON_DIR:-}/lua_cjson.c" ]; then
  echo "pending: another lua-cjson (its sources are to lie in CJSON_DIR)"
  exit 77
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$build"
${CC:-cc} -O2 -shared -fPIC $(pkg-config --cflags "${LUA_PKG:-lua5.4}") -o "$build/cjson.so" \
  "$CJSON_DIR"/lua_cjson.c "$CJSON_DIR"/strbuf.c "$CJSON_DIR"/fpconv.c >"$build/log" 2>&1 || {
  cat "$build/log"
  echo "failed: another lua-cjson: it cannot be built"
  exit 1
}
export LUA_CPATH="$build/?.so;$PWD/build/?.so;;"
named=$($LUA -e 'print("lua-cjson " .. require("cjson")._VERSION)')
if make -s specs SPECS="${SPECS:-spec}" PRELOAD="LUA_CPATH='$LUA_CPATH'" >"$build/log" 2>&1 </dev/null; then
  echo "ok: $named: $(grep -o '^[0-9]* passed, 0 failed' "$build/log" | tail -n 1)"
else
  tail -n 200 "$build/log"
  echo "failed: $named"
  exit 1
fi
