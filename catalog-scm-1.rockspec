rockspec_format = "3.0"
package = "catalog"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Gets data into Adobe Experience Platform: exact, fast, never in the way",
  detailed = [[
Creates batches in Adobe Experience Platform from Lua, with a C core on libcurl.
A local emulator of the service is included.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua ~> 5.4", "lua-cjson >= 2.1.0" }
-- The library only: Debian keeps its headers where LuaRocks 3.8 does not look, and pkg-config does.
external_dependencies = { CURL = { library = "curl" } }
build = {
  type = "make",
  build_target = "all",
  build_variables = { CC = "$(CC)", CFLAGS = "$(CFLAGS)", LUA = "$(LUA)" },
  install_variables = { INST_LUADIR = "$(LUADIR)", INST_LIBDIR = "$(LIBDIR)", INST_BINDIR = "$(BINDIR)" },
}
