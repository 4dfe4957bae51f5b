std = "lua54"
max_line_length = 120
files["spec"] = { std = "+busted", max_line_length = 130 }
files["spec/support/forks.lua"] = { read_globals = { "fork", "leave", "wait_for" } }
files["spec/support/ingests.lua"] = { read_globals = { "pin" } }
files["spec/support/leaves.lua"] = { read_globals = { "pin" } }
files["spec/support/runs.lua"] = { read_globals = { "pin" } }
files["spec/support/uploads.lua"] = { read_globals = { "pin" } }
files["spec/support/creates.lua"] = { read_globals = { "pin" } } -- of spec/support/host.c
files["examples/lighttpd/create.lua"] = { globals = { "lighty" } } -- of lighttpd's mod_magnet
exclude_files = { "build" }
