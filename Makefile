# make            builds the module, and the emulator where libmicrohttpd is installed
# make deps       installs what is missing (Debian and Ubuntu)
# make demo       deps, build, a batch created against the local emulator
# make test       deps, build, every spec
# make check      formatting, linters, analyzers
# make asan       the specs under AddressSanitizer and UndefinedBehaviorSanitizer
# make tsan       eight threads that ingest at once, under ThreadSanitizer
# make fuzz       FUZZ_SECONDS=60: each fuzz target for so long; make fuzz-journal runs one
# make torture    the long runs: kills, random faults, valgrind
# make bench      what is measured, against bare libcurl and lua-cjson
# make emulator   PORT=8080: the emulator in the foreground
# make host-c     a C program that embeds the module and runs it in its own poll(2) loop (examples/host-c)
# make libcatalog.a   the C core, for programs that link it: csrc/catalog.h
# make bundle     the Lua files in one, build/catalog_bundle.lua, which returns the module
# make docs       the LDoc pages, in build/docs
# make install    PREFIX=/usr/local
# eval "$(make -s env)" lets lua5.4 find the build tree

LUA        ?= lua5.4
LUA_PKG    ?= lua5.4
PREFIX     ?= /usr/local
INST_LUADIR ?= $(PREFIX)/share/lua/5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4
INST_BINDIR ?= $(PREFIX)/bin
PORT       ?= 8080
BUILD      ?= build
CC         ?= cc

# A wildcard for what pkg-config does not know keeps the module buildable with headers from elsewhere.
LUA_INC    ?= $(shell pkg-config --cflags-only-I $(LUA_PKG) 2>/dev/null)
CURL_INC   ?= $(shell pkg-config --cflags-only-I libcurl 2>/dev/null)
CURL_LIB   ?= $(shell pkg-config --libs libcurl 2>/dev/null || echo -lcurl)
MHD_LIB    ?= $(shell pkg-config --libs libmicrohttpd 2>/dev/null)

WARNINGS   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Werror
CFLAGS     ?= -O2 -g
# nodelete: a resolver thread of libcurl may outlive lua_close, and must not find its code unmapped.
SHARED     := -shared -Wl,-z,nodelete
STANDARD   := -std=c11 -fPIC -pthread -D_GNU_SOURCE
# address,undefined (make asan) or thread (make tsan)
SANITIZE   ?=
ifneq ($(SANITIZE),)
STANDARD   += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

CORE_SRC   := $(sort $(wildcard csrc/*.c))
CORE_HDR   := $(wildcard csrc/*.h)
CORE       := $(BUILD)/catalog/core.so
HTTPD      := $(BUILD)/catalog/emulator/httpd.so
CORE_OBJ   := $(CORE_SRC:csrc/%.c=$(BUILD)/obj/%.o)

.PHONY: all deps demo test specs check asan tsan fuzz torture bench emulator docs install env clean \
        libcatalog.a bundle host-c
all: $(CORE) $(if $(MHD_LIB),$(HTTPD))

$(BUILD)/obj/%.o: csrc/%.c $(CORE_HDR) Makefile
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(CURL_INC) -c -o $@ $<

$(CORE): $(CORE_OBJ)
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(LDFLAGS) $(STANDARD) $(SHARED) -o $@ $^ $(CURL_LIB)

$(HTTPD): csrc/emulator/httpd.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(LDFLAGS) $(SHARED) -o $@ $< $(MHD_LIB)

# --- for a program that embeds it ----------------------------------------------------------------------

LIBRARY    := $(BUILD)/libcatalog.a
BUNDLE     := $(BUILD)/catalog_bundle.lua
# The first is what the bundle returns. The emulator and the program `catalog` are no part of it.
BUNDLE_LUA := lua/catalog.lua $(filter-out lua/catalog/emulator.lua lua/catalog/emulator/% lua/catalog/cli.lua \
              lua/catalog/main.lua, $(sort $(wildcard lua/catalog/*.lua lua/catalog/*/*.lua)))

libcatalog.a: $(LIBRARY)
bundle: $(BUNDLE)
host-c: $(BUILD)/host-c $(BUNDLE)

$(LIBRARY): $(CORE_OBJ)
	@echo "  ar $@"
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUNDLE): $(BUNDLE_LUA) csrc/bundle.lua Makefile
	@mkdir -p $(@D)
	@echo "  lua $@"
	@$(LUA) csrc/bundle.lua $@ lua $(BUNDLE_LUA)

# It exports Lua's functions for lua-cjson, in case its Lua is a static one.
$(BUILD)/host-c: $(wildcard examples/host-c/*.[ch]) $(LIBRARY) csrc/catalog.h Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) -Icsrc $(LDFLAGS) -o $@ \
	    $(filter %.c,$^) $(LIBRARY) $(shell pkg-config --libs $(LUA_PKG)) $(CURL_LIB) -lm -Wl,-E

# --- what is installed ---------------------------------------------------------------------------------

# command or file it brings : package
PACKAGES := lua5.4 liblua5.4-dev libcurl4-openssl-dev lua-cjson libmicrohttpd-dev gcc make pkg-config curl \
            openssl python3 locales nginx-light lua-busted lua-cqueues lua-argparse lua-check lua-ldoc luarocks \
            clang-format clang-tidy cppcheck clang libclang-rt-dev valgrind lighttpd lighttpd-modules-lua lua-luv
SUDO     := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

deps:
	@missing=$$(for p in $(PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	[ -z "$$missing" ] && exit 0; \
	if ! command -v apt-get >/dev/null; then \
	    echo "make deps knows Debian and Ubuntu. Elsewhere, install what these packages hold:"; \
	    echo $$missing; exit 1; fi; \
	echo "installing" $$missing; \
	export DEBIAN_FRONTEND=noninteractive; \
	install() { $(SUDO) env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing >build-deps.log 2>&1; }; \
	install || { $(SUDO) apt-get update -qq && install; } || { cat build-deps.log; rm -f build-deps.log; exit 1; }; \
	rm -f build-deps.log

install: all
	install -d $(DESTDIR)$(INST_LUADIR)/catalog/emulator $(DESTDIR)$(INST_LUADIR)/catalog/loop \
	    $(DESTDIR)$(INST_LIBDIR)/catalog/emulator $(DESTDIR)$(INST_BINDIR)
	install -m 644 lua/catalog.lua $(DESTDIR)$(INST_LUADIR)
	install -m 644 lua/catalog/*.lua $(DESTDIR)$(INST_LUADIR)/catalog
	install -m 644 lua/catalog/emulator/*.lua $(DESTDIR)$(INST_LUADIR)/catalog/emulator
	install -m 644 lua/catalog/loop/*.lua $(DESTDIR)$(INST_LUADIR)/catalog/loop
	install -m 755 $(CORE) $(DESTDIR)$(INST_LIBDIR)/catalog
	install -m 755 lua/catalog/main.lua $(DESTDIR)$(INST_BINDIR)/catalog
	if [ -f $(HTTPD) ]; then install -m 755 $(HTTPD) $(DESTDIR)$(INST_LIBDIR)/catalog/emulator; fi

# --- running it ----------------------------------------------------------------------------------------

TREE     := LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/spec/?.lua;;' LUA_CPATH='$(CURDIR)/$(BUILD)/?.so;;'
BUSTED    = $(shell command -v busted)

env:
	@echo "export LUA_PATH='$(CURDIR)/lua/?.lua;;' LUA_CPATH='$(CURDIR)/$(BUILD)/?.so;;'"

demo: deps
	@$(MAKE) -s all
	@$(TREE) $(LUA) examples/demo.lua

emulator: all
	@$(TREE) $(LUA) lua/catalog/emulator/main.lua --port $(PORT)

test: deps
	@$(MAKE) -s specs

SPECS ?= spec
specs: all host-c $(BUILD)/host
	@$(TREE) CATALOG_BUILD='$(CURDIR)/$(BUILD)' $(PRELOAD) $(LUA) $(BUSTED) $(SPECS)

# A C program that embeds Lua, for what a script cannot do: allocators that fail, states on threads.
$(BUILD)/host: spec/support/host.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(CURL_INC) $(LDFLAGS) -o $@ $< \
	    $(shell pkg-config --libs $(LUA_PKG)) $(CURL_LIB) -Wl,-E

# BENCH='--quick sequential' chooses.
BARE := $(BUILD)/bench/bare.so
bench: deps all $(BARE)
	@$(TREE) $(LUA) spec/bench/run.lua $(BENCH)

$(BARE): spec/bench/bare.c spec/bench/tools.c spec/bench/bench.h Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(CURL_INC) $(LDFLAGS) $(SHARED) -o $@ \
	    $(filter %.c,$^) $(CURL_LIB)

# --- checks --------------------------------------------------------------------------------------------

C_FILES   := $(sort $(wildcard csrc/*.[ch] csrc/emulator/*.[ch] spec/support/*.c spec/bench/*.[ch] \
             spec/fuzz/*.c examples/host-c/*.[ch]))
C_FLAGS   := $(STANDARD) $(LUA_INC) $(CURL_INC) -Icsrc -Ispec/bench

check: all
	clang-format --dry-run -Werror $(C_FILES)
	clang-tidy --quiet $(filter %.c,$(C_FILES)) -- $(C_FLAGS)
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --std=c11 csrc
	@echo gcc -fanalyzer
	@set -e; for f in $(CORE_SRC) csrc/emulator/httpd.c; do \
	    gcc $(C_FLAGS) $(WARNINGS) -O2 -fanalyzer -c -o /dev/null $$f; done
	luacheck --quiet csrc lua spec examples

# LeakSanitizer is on for the C host only: Lua's own state and lua-cjson's known leak (spec/support/leaks.txt)
# are freed by neither busted nor os.exit.
asan: deps
	@$(MAKE) -s BUILD=build/asan SANITIZE=address,undefined CFLAGS='-O1 -g' SPECS='$(SPECS)' specs \
	    PRELOAD='LD_PRELOAD=$(shell $(CC) -print-file-name=libasan.so) \
	    ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1'

# Eight threads, each with its own state, at an emulator in a process of its own.
tsan: deps
	@$(MAKE) -s all
	@$(MAKE) -s BUILD=build/tsan SANITIZE=thread CFLAGS='-O1 -g' all build/tsan/host
	@$(TREE) TSAN_HOST='$(CURDIR)/build/tsan' $(LUA) spec/support/tsan.lua

# libFuzzer: what it finds lies in build/fuzz, and its inputs grow in build/fuzz/corpus.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst spec/fuzz/%.lua,fuzz-%,$(sort $(wildcard spec/fuzz/*.lua)))
FUZZ_RULES   := BUILD=build/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS='-O1 -g'

fuzz: deps
	@$(MAKE) -s $(FUZZ_TARGETS)

$(FUZZ_TARGETS): fuzz-%:
	@$(MAKE) -s $(FUZZ_RULES) all build/fuzz/harness
	@mkdir -p build/fuzz/corpus/$*
	@LUA_PATH='$(CURDIR)/lua/?.lua;;' LUA_CPATH='$(CURDIR)/build/fuzz/?.so;;' FUZZ_TARGET=spec/fuzz/$*.lua \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 build/fuzz/harness -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=8192 -timeout=30 -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/$*- \
	    build/fuzz/corpus/$* spec/fuzz/corpus/$*

$(BUILD)/harness: spec/fuzz/fuzz.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< \
	    $(shell pkg-config --libs $(LUA_PKG)) -Wl,-E

# Prints what it has measured.
torture: deps all $(BUILD)/host
	@$(TREE) CATALOG_BUILD='$(CURDIR)/$(BUILD)' $(LUA) spec/torture/run.lua

docs:
	ldoc --quiet -c config.ld .

clean:
	rm -rf build
