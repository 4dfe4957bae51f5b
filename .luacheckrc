std = "lua54"
max_line_length = 120
files["spec"] = { std = "+busted", max_line_length = 130 }
files["spec/scripts/forks.lua"] = { read_globals = { "fork", "leave", "wait_for" } }
files["spec/scripts/drain_forks.lua"] = { read_globals = { "fork", "leave", "wait_for" } }
files["spec/scripts/kafka_calls.lua"] = { read_globals = { "pin" } }
files["spec/scripts/ingests.lua"] = { read_globals = { "pin" } }
files["spec/scripts/leaves.lua"] = { read_globals = { "pin" } }
files["spec/scripts/runs.lua"] = { read_globals = { "pin" } }
files["spec/scripts/spool_calls.lua"] = { read_globals = { "pin" } }
files["spec/scripts/uploads.lua"] = { read_globals = { "pin" } }
files["spec/scripts/creates.lua"] = { read_globals = { "pin" } } -- of spec/scripts/host.c
files["examples/lighttpd/create.lua"] = { globals = { "lighty" } } -- of lighttpd's mod_magnet
files["examples/haproxy/sink.lua"] = { read_globals = { "core" } } -- of HAProxy
exclude_files = { "build", "docs/types" } -- types are declarations
