rockspec_format = "3.0"
package = "catalog-httpd"
version = "1.0.0-1"
-- OWNER is to be filled in by whoever publishes the repository.
source = { url = "git+https://github.com/OWNER/catalog.git", tag = "v1.0.0", dir = "catalog" }
description = {
  summary = "The server of catalog, on libmicrohttpd",
  detailed = [[
What `catalog serve` and the emulator serve HTTP by. It takes bodies in gzip and zstd where zlib and libzstd are.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.6", "catalog == 1.0.0" }
external_dependencies = { MICROHTTPD = { library = "microhttpd" } }
build = {
  type = "make",
  build_target = "build-httpd",
  install_target = "install-httpd",
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
