rockspec_format = "3.0"
package = "catalog"
version = "1.0.0-1"
-- OWNER is to be filled in by whoever publishes the repository.
source = { url = "git+https://github.com/OWNER/catalog.git", tag = "v1.0.0", dir = "catalog" }
description = {
  summary = "Gets data into Adobe Experience Platform: exact, fast, never in the way",
  detailed = [[
Creates batches in Adobe Experience Platform from Lua, and fills them with files and records, with a C core on libcurl.
The program is catalog-cli; what reads from Kafka needs catalog-kafka, and what serves HTTP needs catalog-httpd.
catalog-emulator is a local emulator of the service, for tests.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.6", "lua-cjson >= 2.1.0" }
-- The library only: Debian keeps its headers where LuaRocks 3.8 does not look; the Makefile says when they are missing.
external_dependencies = { CURL = { library = "curl" } }
build = {
  type = "make",
  build_target = "build-core",
  install_target = "install-core",
  variables = {
    CC = "$(CC)", CFLAGS = "$(CFLAGS)", LUA = "$(LUA)", LUA_INCDIR = "$(LUA_INCDIR)", CURL_INCDIR = "$(CURL_INCDIR)",
    CURL_LIBDIR = "$(CURL_LIBDIR)",
  },
  install_variables = {
    LUA = "$(LUA)", INST_LUADIR = "$(LUADIR)", INST_LIBDIR = "$(LIBDIR)", INST_BINDIR = "$(BINDIR)",
    INST_MANDIR = "$(PREFIX)/man", INST_BASHDIR = "$(PREFIX)/completions", INST_ZSHDIR = "$(PREFIX)/completions",
    INST_TYPESDIR = "$(PREFIX)/types",
  },
}
