#!/bin/sh
# The specs in Lua 5.5, which is built here, with lua-cjson and, where that can be done, cqueues: from the sources in
# LUA55_DIR and CJSON_DIR, or else from Debian's. What needs a module or a host that has no Lua 5.5 is passed over.
set -u
cd "$(dirname "$0")/../.."
name="Lua 5.5"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"

pending() {
  echo "pending: $name ($1)"
  exit 77
}

failed() {
  tail -n 200 "$work/log"
  echo "failed: $name: $1"
  exit 1
}

# Debian's sources, by what this machine's apt has, into one folder for each package.
apt_in() {
  apt-get -qq -o Dir::Etc::sourcelist="$work/sources" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$work/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$work" "$@" >>"$work/log" 2>&1
}

get_source() {
  mkdir -p "$work/$1" && (cd "$work/$1" && apt_in source --tar-only "$1" && tar -xf ./*.orig.tar.* --strip-components=1)
}

if [ ! -f "${LUA55_DIR:-}/lua.h" ]; then
  command -v apt-get >/dev/null || pending "its sources are to lie in LUA55_DIR"
  mkdir -p "$work/lists/partial"
  apt-get indextargets --format 'deb-src $(SITE) sid main' 'Created-By: Packages' 'Origin: Debian' |
    grep -v security | sort -u | head -n 1 >"$work/sources"
  apt_in update && get_source lua5.5 || pending "its sources are to lie in LUA55_DIR: apt has none"
  LUA55_DIR=$work/lua5.5/src
  get_source lua-cqueues
fi
if [ ! -f "${CJSON_DIR:-}/lua_cjson.c" ]; then
  [ -f "$work/sources" ] && get_source lua-cjson || pending "the sources of a lua-cjson are to lie in CJSON_DIR"
  CJSON_DIR=$work/lua-cjson
fi

# With its own checks of what a C module does with its stack, which are left out of what is installed.
build_lua() {
  mkdir "$work/objects"
  for file in "$LUA55_DIR"/*.c; do
    case $file in */luac.c | */onelua.c | */ltests.c) continue ;; esac
    ${CC:-cc} -O2 -fPIC -DLUA_USE_LINUX -DLUAI_ASSERT -DLUA_USE_APICHECK -c -o "$work/objects/$(basename "$file" .c).o" "$file" || return
  done
  ${CC:-cc} -o "$work/lua" "$work"/objects/*.o -Wl,-E -lm -ldl && rm "$work/objects/lua.o" &&
    ar rcs "$work/liblua.a" "$work"/objects/*.o &&
    printf 'Name: Lua\nDescription: Lua\nVersion: 5.5\nLibs: %s -lm -ldl\nCflags: -I%s\n' \
      "$work/liblua.a" "$LUA55_DIR" >"$work/lua55.pc"
}

build_cjson() {
  ${CC:-cc} -O2 -shared -fPIC -I"$LUA55_DIR" -o "$work/cjson.so" \
    "$CJSON_DIR"/lua_cjson.c "$CJSON_DIR"/strbuf.c "$CJSON_DIR"/fpconv.c
}

# cqueues does not know of Lua 5.5 yet: four of its functions' names are those of 5.2.
build_cqueues() {
  cat >"$work/unsigned.h" <<'END'
#define lua_pushunsigned(L, n) lua_pushinteger((L), (lua_Integer)(n))
#define lua_tounsigned(L, i) ((lua_Unsigned)lua_tointeger((L), (i)))
#define luaL_checkunsigned(L, i) ((lua_Unsigned)luaL_checkinteger((L), (i)))
#define luaL_optunsigned(L, i, d) ((lua_Unsigned)luaL_optinteger((L), (i), (lua_Integer)(d)))
END
  cd "$work/lua-cqueues" &&
    sed -i 's/LUA_VERSION_NUM > 504/LUA_VERSION_NUM > 505/' vendor/compat53/c-api/compat-5.3.h &&
    make -s LUA54_CPPFLAGS="-I$LUA55_DIR" CPPFLAGS="-I$LUA55_DIR -include $work/unsigned.h" all5.4 &&
    cp src/5.4/cqueues.so "$work/_cqueues.so"
}

export LUA="$work/lua" LUA_PKG=lua55 CATALOG_BUILD="$work/build" PKG_CONFIG_PATH="$work"
build_lua >>"$work/log" 2>&1 || failed "it cannot be built"
build_cjson >>"$work/log" 2>&1 || failed "lua-cjson cannot be built"
(build_cqueues) >>"$work/log" 2>&1
make -s BUILD="$work/build" all host-c "$work/build/host" >>"$work/log" 2>&1 ||
  failed "the module cannot be built"

LUA_PATH="$PWD/lua/?.lua;$PWD/spec/?.lua;$(lua5.4 -e 'print(package.path)')"
LUA_CPATH="$work/build/?.so;$work/?.so"
export LUA_PATH LUA_CPATH
: >"$work/log" # what was built is of no interest any more
wrong=
for spec in ${SPECS:-spec/*_spec.lua}; do
  # What has to have Lua 5.4: luv, lighttpd, busted itself, and the commands of README and guide, which use the build tree.
  case ${spec##*/} in
  directory_examples_* | guide_* | lighttpd_* | loop_examples_* | readme_* | suite_*)
    echo "$spec: passed over, it has to have Lua 5.4" >>"$work/results"
    continue
    ;;
  esac
  timeout 900 "$LUA" spec/scripts/runner.lua "$spec" >>"$work/results" 2>>"$work/log" </dev/null || wrong="$wrong $spec"
done
[ -z "$wrong" ] || failed "${wrong# }"
grep -v "passed, 0 failed" "$work/results" | sed 's/^/  /'
echo "ok: $($LUA -v | cut -c 1-9): $(awk '{ all += $2 * ($3 == "passed,") } END { print all }' "$work/results") passed"
