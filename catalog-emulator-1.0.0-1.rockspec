rockspec_format = "3.0"
package = "catalog-emulator"
version = "1.0.0-1"
-- OWNER is to be filled in by whoever publishes the repository.
source = { url = "git+https://github.com/OWNER/catalog.git", tag = "v1.0.0", dir = "catalog" }
description = {
  summary = "A local emulator of Adobe Experience Platform's ingestion, for tests",
  detailed = [[
Takes what `catalog` sends, on this machine: batches, files, faults on demand. It is for tests, and needs no account.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.6", "catalog == 1.0.0", "catalog-httpd == 1.0.0" }
build = {
  type = "make",
  build_target = "build-emulator",
  install_target = "install-emulator",
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
