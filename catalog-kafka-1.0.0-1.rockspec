rockspec_format = "3.0"
package = "catalog-kafka"
version = "1.0.0-1"
-- OWNER is to be filled in by whoever publishes the repository.
source = { url = "git+https://github.com/OWNER/catalog.git", tag = "v1.0.0", dir = "catalog" }
description = {
  summary = "What catalog reads Kafka with, on librdkafka",
  detailed = [[
Needed by `catalog.drain`, which gets records from Kafka into batches, each exactly once.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.6", "catalog == 1.0.0" }
external_dependencies = { RDKAFKA = { library = "rdkafka" } }
build = {
  type = "make",
  build_target = "build-kafka",
  install_target = "install-kafka",
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
