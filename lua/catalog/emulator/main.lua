-- The emulator in the foreground: main.lua [--port PORT] [--data-dir DIRECTORY] [--dataset ID[=NAME] ...]
os.exit(require("catalog.cli").run { "emulator", table.unpack(arg) }, true)
