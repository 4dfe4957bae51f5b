# make            builds the module, the emulator where libmicrohttpd is installed, and what reads Kafka where
#                 librdkafka is
# make demo       deps, build, a batch created against the local emulator
# make test       deps-test, build, every spec
# make deps       installs what the module and the emulator need (Debian and Ubuntu; without root, says what)
# make deps-test  and what the specs need; make deps-dev: and what all else below needs, which calls it by itself
# make check      formatting, linters, analyzers
# make asan       the specs under AddressSanitizer and UndefinedBehaviorSanitizer
# make tsan       eight threads that ingest at once, and eight with a spool, under ThreadSanitizer
# make fuzz       FUZZ_SECONDS=60: each fuzz target for so long; make fuzz-journal runs one
# make kafka      fetches Apache Kafka for the specs, by Maven; without it they use a cluster that librdkafka plays
# make aepp       fetches Adobe's Python package aepp, which a spec calls at the emulator
# make torture    the long runs: kills, random faults, valgrind
# make systems    other systems: the scripts in spec/systems, each of which says what it needs
# make bench      what is measured, against bare libcurl and lua-cjson; PLOT=1: and drawn, in docs/pictures
# make emulator   PORT=8080: the emulator in the foreground
# make host-c     C programs that embed the module: in a poll(2) loop of their own, by hooks alone (examples/host-*)
# make libcatalog.a   the C core, for programs that link it: csrc/catalog.h
# make bundle     the Lua files in one, build/catalog_bundle.lua, which returns the module
# make docs       the guide and the reference as pages, build/docs/index.html; make docs-check: in a browser
# make types      docs/types/catalog.lua, for editors
# make install    PREFIX=/usr/local DESTDIR=: all that is built; install-core, -cli, -httpd, -kafka, -emulator are its
#                 parts, and install-dev is libcatalog.a with its header and its file for pkg-config
# make uninstall  what install and install-dev have put there
# make man        build/catalog.1, the man page of the program
# make dist       build/catalog-VERSION.tar.gz, the same bytes of the same files wherever it is made
# make rocks      build/rocks: the rocks of this checkout's tag, a server of rocks as it is
# make deb        build/deb: Debian's packages, looked at by lintian and tried
# make clean      removes build; BUILD=/tmp/x, here and everywhere, is another folder instead
# eval "$(make -s env)" lets lua5.4 find the build tree, and the shell its program

LUA        ?= lua5.4
LUA_PKG    ?= lua5.4
PREFIX     ?= /usr/local
LUA_VERSION ?= $(or $(shell $(LUA) -e 'io.write((_VERSION:gsub("%a* ", "")))' 2>/dev/null),5.4)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_BINDIR ?= $(PREFIX)/bin
INST_MANDIR ?= $(PREFIX)/share/man
INST_BASHDIR ?= $(PREFIX)/share/bash-completion/completions
INST_ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
# For C programs.
INST_INCDIR ?= $(PREFIX)/include
INST_ARDIR ?= $(PREFIX)/lib
INST_PCDIR ?= $(INST_ARDIR)/pkgconfig
INST_BUNDLEDIR ?= $(PREFIX)/share/catalog
INST_TYPESDIR ?= $(PREFIX)/share/catalog/types
PORT       ?= 8080
BUILD      ?= build
CC         ?= cc

VERSION    := $(shell sed -n 's/^return "\(.*\)"$$/\1/p' lua/catalog/base/version.lua)

# Where headers and libraries are: pkg-config says so, or LUA_INCDIR, CURL_INCDIR and CURL_LIBDIR, which LuaRocks sets.
LUA_INC    ?= $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell pkg-config --cflags-only-I $(LUA_PKG) 2>/dev/null))
CURL_INC   ?= $(if $(CURL_INCDIR),-I$(CURL_INCDIR),$(shell pkg-config --cflags-only-I libcurl 2>/dev/null))
CURL_LIB   ?= $(if $(CURL_LIBDIR),-L$(CURL_LIBDIR) -lcurl,$(shell pkg-config --libs libcurl 2>/dev/null || echo -lcurl))
# What may be missing: $(call optional,PACKAGE,HEADER,LIBRARY). In a function `\#` would stay as it is.
HASH       := \#
optional    = $(or $(shell pkg-config --libs $(1) 2>/dev/null),\
              $(shell echo '$(HASH)include <$(2)>' | $(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 && echo -l$(3)))
MHD_LIB    ?= $(call optional,libmicrohttpd,microhttpd.h,microhttpd)
KAFKA_LIB  ?= $(call optional,rdkafka,librdkafka/rdkafka.h,rdkafka)

# The codings of bodies that `catalog serve` takes: each is built in where its library is.
ZLIB_LIB   ?= $(call optional,zlib,zlib.h,z)
ZSTD_LIB   ?= $(call optional,libzstd,zstd.h,zstd)
CODINGS     = $(if $(ZLIB_LIB),-DCATALOG_ZLIB) $(if $(ZSTD_LIB),-DCATALOG_ZSTD)

# What a later compiler warns of ends our builds, and not those of who only installs it.
WERROR     ?= $(if $(wildcard .git),-Werror)
WARNINGS   := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes $(WERROR)
CFLAGS     ?= -O2 -g
# nodelete: a resolver thread of libcurl may outlive lua_close, and must not find its code unmapped.
SHARED     := -shared -Wl,-z,nodelete
STANDARD   := -std=c11 -fPIC -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
# A module shows the process that loads it its luaopen_ function and nothing else.
HIDDEN     := -fvisibility=hidden
# address,undefined (make asan) or thread (make tsan)
SANITIZE   ?=
ifneq ($(SANITIZE),)
STANDARD   += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

CORE_SRC   := $(sort $(wildcard csrc/*.c))
CORE_HDR   := $(wildcard csrc/*.h)
CORE       := $(BUILD)/catalog/core.so
CORE_OBJ   := $(CORE_SRC:csrc/%.c=$(BUILD)/obj/%.o)
HTTPD_SRC  := $(sort $(wildcard csrc/httpd/*.c))
HTTPD      := $(BUILD)/catalog/httpd.so
HTTPD_OBJ  := $(HTTPD_SRC:csrc/%.c=$(BUILD)/obj/%.o)
# Needed by `drain` only.
KAFKA_SRC  := $(sort $(wildcard csrc/kafka/*.c))
KAFKA      := $(BUILD)/catalog/kafka.so
KAFKA_OBJ  := $(KAFKA_SRC:csrc/%.c=$(BUILD)/obj/%.o)
# What it has of the core's, a copy of its own.
KAFKA_CORE := $(patsubst %,$(BUILD)/obj/%.o,failure fork_guard lines text utf8)

# What is installed apart, each a rock and a package of its own.
PARTS      := core cli httpd kafka emulator

.PHONY: all kafka deps deps-test deps-dev deps-docs deps-deb demo test specs check asan tsan fuzz torture bench systems emulator \
        docs docs-check types man rocks deb dist env clean libcatalog.a bundle host-c aepp install uninstall install-dev \
        $(PARTS:%=build-%) $(PARTS:%=install-%)
all: build-core $(if $(MHD_LIB),build-httpd) $(if $(KAFKA_LIB),build-kafka) $(BUILD)/bin/catalog

# Says which header is missing and what brings it, once.
HEADERS    := $(BUILD)/headers
find        = echo '$(HASH)include <$(1)>' | $(CC) $(CPPFLAGS) $(CFLAGS) $(2) -E - >/dev/null || \
              { echo "$(1) is not found: install $(3)" >&2; exit 1; }
$(HEADERS): Makefile
	@mkdir -p $(@D)
	@$(call find,lua.h,$(LUA_INC),liblua5.4-dev (Debian) or say where it is by LUA_INCDIR=/usr/include/lua5.4)
	@$(call find,curl/curl.h,$(CURL_INC),libcurl4-openssl-dev (Debian) or say where it is by CURL_INCDIR=/opt/include)
	@touch $@
$(HEADERS)-httpd: Makefile
	@mkdir -p $(@D)
	@$(call find,microhttpd.h,,libmicrohttpd-dev (Debian))
	@touch $@
$(HEADERS)-kafka: Makefile
	@mkdir -p $(@D)
	@$(call find,librdkafka/rdkafka.h,,librdkafka-dev (Debian))
	@touch $@

$(BUILD)/obj/%.o: csrc/%.c $(CORE_HDR) Makefile | $(HEADERS)
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CPPFLAGS) $(DEFINES) $(CFLAGS) $(STANDARD) $(HIDDEN) $(WARNINGS) $(LUA_INC) $(CURL_INC) -c -o $@ $<

$(CORE): $(CORE_OBJ)
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(LDFLAGS) $(STANDARD) $(SHARED) -o $@ $^ $(CURL_LIB)

$(HTTPD_OBJ): $(wildcard csrc/httpd/*.h) | $(HEADERS)-httpd
$(HTTPD_OBJ): DEFINES = $(CODINGS)
$(HTTPD): $(HTTPD_OBJ)
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(LDFLAGS) $(STANDARD) $(SHARED) -o $@ $^ $(MHD_LIB) $(ZLIB_LIB) $(ZSTD_LIB)

# The program is run by the Lua that is named here.
PROGRAM     = sed '1s|.*|\#!$(if $(findstring /,$(LUA)),,/usr/bin/env )$(LUA)|' lua/catalog/cli/main.lua

$(KAFKA_OBJ): $(wildcard csrc/kafka/*.h) | $(HEADERS)-kafka
$(KAFKA): $(KAFKA_OBJ) $(KAFKA_CORE)
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(LDFLAGS) $(STANDARD) $(SHARED) -o $@ $^ $(KAFKA_LIB)

# The program of the build tree, for `env`.
$(BUILD)/bin/catalog: lua/catalog/cli/main.lua Makefile
	@mkdir -p $(@D)
	@$(PROGRAM) >$@.part && chmod 755 $@.part && mv $@.part $@

# --- for a program that embeds it ----------------------------------------------------------------------

LIBRARY    := $(BUILD)/libcatalog.a
BUNDLE     := $(BUILD)/catalog_bundle.lua
# The first is what the bundle returns. The emulator and the program `catalog` are no part of it.
BUNDLE_LUA := lua/catalog.lua $(filter-out lua/catalog/emulator.lua lua/catalog/emulator/% lua/catalog/cli/% lua/catalog/serve/%, \
              $(sort $(wildcard lua/catalog/*.lua lua/catalog/*/*.lua)))

libcatalog.a: $(LIBRARY)
bundle: $(BUNDLE)
host-c: $(BUILD)/host-c $(BUILD)/host-hooks $(BUNDLE)

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

# It finds the module by Lua's paths.
$(BUILD)/host-hooks: examples/host-hooks/host.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(LDFLAGS) -o $@ $< \
	    $(shell pkg-config --libs $(LUA_PKG)) -lm -Wl,-E

# --- what is installed ---------------------------------------------------------------------------------

# Debian's packages, beside gcc and make.
DEPS      := gcc libc6-dev lua5.4 liblua5.4-dev libcurl4-openssl-dev lua-cjson libmicrohttpd-dev zlib1g-dev \
             libzstd-dev pkg-config
DEPS_DOCS := lua-ldoc cmark-gfm
DEPS_TEST := $(DEPS) $(DEPS_DOCS) librdkafka-dev \
             lua-busted lua-cqueues lua-luv lua-argparse curl openssl ca-certificates python3 locales \
             python3-venv lighttpd lighttpd-modules-lua tinyproxy-bin luarocks git zsh kcat maven default-jre-headless
# Where a compiler finds libc's headers for 32 bits.
BITS32    := $(if $(filter x86_64,$(shell uname -m)),libc6-dev-i386)
# Hosts that exclude one another: they are unpacked, not installed.
UNPACKED  := syslog-ng-core syslog-ng-mod-http rsyslog
DEPS_DEV  := $(DEPS_TEST) clang-format clang-tidy cppcheck lua-check clang libclang-rt-dev valgrind nginx-light \
             python3-fastjsonschema $(BITS32)
DEPS_DEB  := $(DEPS) librdkafka-dev lua-argparse build-essential debhelper dpkg-dev lintian

deps:
	@.ci/deps $(DEPS)
deps-test:
	@.ci/deps $(DEPS_TEST)
	@.ci/unpack build/hosts $(UNPACKED)
deps-dev:
	@.ci/deps $(DEPS_DEV)
deps-docs:
	@.ci/deps $(DEPS_DOCS)
deps-deb:
	@.ci/deps $(DEPS_DEB)

# The texts of these are those of the program's table of options.
MAN        := $(BUILD)/catalog.1
COMPLETION := $(BUILD)/completion.bash $(BUILD)/completion.zsh
MAN_LUA    := $(wildcard lua/catalog/cli/*.lua) lua/catalog/base/version.lua
man: $(MAN)
$(MAN): $(MAN_LUA)
	@mkdir -p $(@D)
	@$(TREE) $(LUA) -e 'io.write(require("catalog.cli.man").page(require "catalog.base.version"))' >$@.part
	@mv $@.part $@

$(COMPLETION): $(BUILD)/completion.%: $(MAN_LUA)
	@mkdir -p $(@D)
	@$(TREE) $(LUA) -e 'io.write(require("catalog.cli.completion").text "$*")' >$@.part
	@mv $@.part $@

# For pkg-config. The objects were compiled for one Lua, which is named where pkg-config knows it.
PC_LUA      = $(if $(LUA_INCDIR),,$(shell pkg-config --exists $(LUA_PKG) 2>/dev/null && echo $(LUA_PKG),))
PC          = sed -e 's|@VERSION@|$(VERSION)|' -e 's|@LUA@|$(PC_LUA)|' -e 's|@PREFIX@|$(PREFIX)|' \
              -e 's|@LIB@|$(INST_ARDIR)|' -e 's|@INCLUDE@|$(INST_INCDIR)|' -e 's|@BUNDLE@|$(INST_BUNDLEDIR)|' \
              -e 's|=$(PREFIX)/|=$${prefix}/|' csrc/catalog.pc.in

build-core: $(CORE)
build-cli: $(BUILD)/bin/catalog $(MAN) $(COMPLETION)
build-httpd: $(HTTPD)
build-kafka: $(KAFKA)
build-emulator:

LUA_ALL      := $(sort $(patsubst lua/%,%,$(wildcard lua/*.lua lua/catalog/*.lua lua/catalog/*/*.lua)))
# The first of the program is the program.
LUA_cli      := $(filter-out catalog/cli/main.lua,$(filter catalog/cli/%,$(LUA_ALL)))
LUA_emulator := $(filter catalog/emulator.lua catalog/emulator/%,$(LUA_ALL))
LUA_core     := $(filter-out catalog/cli/main.lua $(LUA_cli) $(LUA_emulator),$(LUA_ALL))

# put MODE,FILE,TARGET; put_lua PART
put     = install -D -m $(1) $(2) $(DESTDIR)$(3)
put_lua = @set -e; for f in $(LUA_$(1)); do $(call put,644,lua/$$f,$(INST_LUADIR)/$$f); done

install: install-core install-cli $(if $(MHD_LIB),install-httpd) $(if $(KAFKA_LIB),install-kafka) install-emulator

install-core: build-core
	$(call put_lua,core)
	$(call put,755,$(CORE),$(INST_LIBDIR)/catalog/core.so)
	$(call put,644,docs/types/catalog.lua,$(INST_TYPESDIR)/catalog.lua)
install-cli: build-cli
	$(call put_lua,cli)
	$(PROGRAM) >$(BUILD)/catalog.installed
	$(call put,755,$(BUILD)/catalog.installed,$(INST_BINDIR)/catalog)
	$(call put,644,$(MAN),$(INST_MANDIR)/man1/catalog.1)
	$(call put,644,$(BUILD)/completion.bash,$(INST_BASHDIR)/catalog)
	$(call put,644,$(BUILD)/completion.zsh,$(INST_ZSHDIR)/_catalog)
install-httpd: build-httpd
	$(call put,755,$(HTTPD),$(INST_LIBDIR)/catalog/httpd.so)
install-kafka: build-kafka
	$(call put,755,$(KAFKA),$(INST_LIBDIR)/catalog/kafka.so)
install-emulator: build-emulator
	$(call put_lua,emulator)
	$(call put,644,docs/types/catalog/emulator.lua,$(INST_TYPESDIR)/catalog/emulator.lua)
install-dev: $(LIBRARY) $(BUNDLE)
	$(call put,644,$(LIBRARY),$(INST_ARDIR)/libcatalog.a)
	$(call put,644,csrc/catalog.h,$(INST_INCDIR)/catalog.h)
	$(PC) >$(BUILD)/catalog.pc
	$(call put,644,$(BUILD)/catalog.pc,$(INST_PCDIR)/catalog.pc)
	$(call put,644,$(BUNDLE),$(INST_BUNDLEDIR)/catalog_bundle.lua)

# Folders that are called catalog are the module's own, and go with what an older version has left in them.
uninstall:
	rm -rf $(addprefix $(DESTDIR),$(INST_LUADIR)/catalog $(INST_LIBDIR)/catalog $(INST_TYPESDIR))
	rm -f $(addprefix $(DESTDIR),$(INST_LUADIR)/catalog.lua $(INST_BINDIR)/catalog $(INST_MANDIR)/man1/catalog.1 \
	    $(INST_BASHDIR)/catalog $(INST_ZSHDIR)/_catalog $(INST_ARDIR)/libcatalog.a $(INST_INCDIR)/catalog.h \
	    $(INST_PCDIR)/catalog.pc $(INST_BUNDLEDIR)/catalog_bundle.lua)
	if [ -d $(DESTDIR)$(INST_BUNDLEDIR) ]; then rmdir --ignore-fail-on-non-empty $(DESTDIR)$(INST_BUNDLEDIR); fi

# --- what is published ---------------------------------------------------------------------------------

# The time of all files in it is the day of the version in the list of changes; without git, as in a tree that was made
# of it, all files are part of it but what is built.
DIST       := $(BUILD)/catalog-$(VERSION).tar.gz
DIST_DAY    = $(shell sed -n 's/^\#\# $(VERSION), //p' CHANGELOG.md)
dist:
	@mkdir -p $(BUILD)
	@if [ -e .git ]; then git ls-files -z; else find . -path ./build -prune -o -type f -printf '%P\0'; fi | \
	    LC_ALL=C sort -z | tar -c --null -T - --format=ustar --mtime='$(DIST_DAY) 00:00Z' --owner=0 --group=0 \
	    --numeric-owner --mode=u+rw,go-w,a+rX --transform='s,^,catalog-$(VERSION)/,' | gzip -n9 >$(DIST).part
	@mv $(DIST).part $(DIST)
	@echo "  tar $(DIST)"

# What the rockspecs fetch from where the project is published, git takes from this checkout instead.
ROCKS      := catalog $(addprefix catalog-,$(filter-out core,$(PARTS)))
PUBLIC      = $(shell sed -n 's/^source = .*url = "git+\([^"]*\)".*/\1/p' catalog-$(VERSION)-1.rockspec)
rocks: deps-test
	@mkdir -p $(BUILD)/rocks
	@set -e; cd $(BUILD)/rocks; \
	export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0='url.file://$(CURDIR).insteadOf' GIT_CONFIG_VALUE_0='$(PUBLIC)'; \
	for rock in $(ROCKS); do luarocks --lua-version 5.4 pack '$(CURDIR)'/$$rock-$(VERSION)-1.rockspec; done
	@luarocks-admin --lua-version 5.4 make_manifest $(BUILD)/rocks

deb: deps-deb
	@.ci/deb $(BUILD)/deb

# --- running it ----------------------------------------------------------------------------------------

TREE     := LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/spec/?.lua;;' LUA_CPATH='$(abspath $(BUILD))/?.so;;'
BUSTED    = $(shell command -v busted)

env:
	@echo "export LUA_PATH='$(CURDIR)/lua/?.lua;;' LUA_CPATH='$(abspath $(BUILD))/?.so;;'" \
	    'PATH='\''$(abspath $(BUILD))/bin'\'':"$$PATH"'

demo: deps
	@$(MAKE) -s -j$(shell nproc) all
	@$(TREE) $(LUA) examples/demo.lua

emulator: all
	@$(TREE) $(LUA) lua/catalog/cli/main.lua emulator --port $(PORT)

test: deps-test
	@$(MAKE) -s specs

SPECS ?= spec
OF_KAFKA   := $(if $(KAFKA_LIB),$(BUILD)/mock_kafka $(BUILD)/kafka_admin)
specs: all host-c $(BUILD)/host $(BUILD)/disk.so $(BUILD)/slow_disk.so $(OF_KAFKA)
	@$(TREE) CATALOG_BUILD='$(abspath $(BUILD))' spec/support/specs.sh 'env $(PRELOAD) $(LUA) $(BUSTED)' $(SPECS)

# A C program that embeds Lua, for what a script cannot do: allocators that fail, states on threads.
$(BUILD)/host: spec/scripts/host.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(CURL_INC) $(LDFLAGS) -o $@ $< \
	    $(shell pkg-config --libs $(LUA_PKG)) $(CURL_LIB) -Wl,-E

# A disk that is slow when a file says so, for programs that specs start.
$(BUILD)/slow_disk.so: spec/scripts/slow_disk.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(filter-out -fsanitize%,$(STANDARD)) $(WARNINGS) $(LDFLAGS) -shared -o $@ $< -ldl

# A disk that fails when it is told to, for specs to preload; without the sanitizers, which have its calls as well.
$(BUILD)/disk.so: spec/scripts/disk.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(filter-out -fsanitize%,$(STANDARD)) $(WARNINGS) $(LUA_INC) $(LDFLAGS) -shared -o $@ $< -ldl

# A cluster that librdkafka plays, where no real one can be had; and what tells a real one what to do.
$(BUILD)/mock_kafka $(BUILD)/kafka_admin: $(BUILD)/%: spec/scripts/%.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(filter-out -fsanitize%,$(STANDARD)) $(WARNINGS) $(LDFLAGS) -o $@ $< $(KAFKA_LIB)

# Apache Kafka, for the specs; in the folder of the plain build, which others share.
KAFKA_JARS := $(CURDIR)/build/kafka
kafka: $(KAFKA_JARS)/fetched
$(KAFKA_JARS)/fetched: spec/support/kafka/pom.xml
	@command -v mvn >/dev/null && command -v java >/dev/null || \
	    { echo "make kafka needs Maven and Java: install maven (Debian)" >&2; exit 1; }
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@echo "  mvn $(@D)"
	@mvn -q -B -f $< dependency:copy-dependencies -DoutputDirectory=$(@D)
	@touch $@

# Adobe's package for Python as it is, for a spec; in the folder of the plain build, too.
AEPP := $(CURDIR)/build/aepp
aepp: $(AEPP)/fetched
$(AEPP)/fetched:
	@rm -rf $(@D)
	@echo "  pip $(@D)"
	@python3 -m venv $(@D) || { echo "make aepp needs venv: install python3-venv (Debian)" >&2; exit 1; }
	@$(@D)/bin/pip install -q --disable-pip-version-check aepp==0.6.0
	@touch $@

# BENCH='--quick sequential' chooses. PLOT=1 measures what the pictures in docs/pictures show, and draws them.
BARE    := $(BUILD)/bench/bare.so
PLOTTED := sequential loops encode uploads downloads sizes batches lateness beside
FIGURES := docs/pictures/figures.jsonl
bench: deps-dev
	@$(MAKE) -s all $(BARE)
	@$(TREE) $(LUA) spec/bench/run.lua $(BENCH) $(if $(PLOT),--figures $(BUILD)/bench/figures.jsonl $(PLOTTED))
ifneq ($(PLOT),)
	@cp $(BUILD)/bench/figures.jsonl $(FIGURES)
	@$(TREE) $(LUA) spec/bench/plot.lua $(FIGURES) docs/pictures
endif

$(BARE): spec/bench/bare.c spec/bench/get.c spec/bench/tools.c spec/bench/bench.h Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(CURL_INC) $(LDFLAGS) $(SHARED) -o $@ \
	    $(filter %.c,$^) $(CURL_LIB)

# --- checks --------------------------------------------------------------------------------------------

C_FILES   := $(sort $(wildcard csrc/*.[ch] csrc/httpd/*.[ch] csrc/kafka/*.[ch] spec/scripts/*.c spec/bench/*.[ch] \
             spec/fuzz/*.c examples/host-c/*.[ch] examples/host-hooks/*.c))
C_FLAGS    = $(CODINGS) $(STANDARD) $(LUA_INC) $(CURL_INC) -Icsrc -Ispec/bench

check: deps-dev
	@$(MAKE) -s all
	clang-format --dry-run -Werror $(C_FILES)
	clang-tidy --quiet $(filter %.c,$(C_FILES)) -- $(C_FLAGS)
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --std=c11 csrc
	@echo gcc -fanalyzer
	@set -e; for f in $(CORE_SRC) $(HTTPD_SRC) $(KAFKA_SRC); do \
	    gcc $(C_FLAGS) $(WARNINGS) -Werror -O2 -fanalyzer -c -o /dev/null $$f; done
ifneq ($(BITS32),)
	@echo gcc -m32
	@set -e; for f in $(CORE_SRC) $(HTTPD_SRC) $(KAFKA_SRC); do \
	    gcc -m32 $(C_FLAGS) -I/usr/include/$$(gcc -print-multiarch) $(WARNINGS) -Werror -fsyntax-only $$f; done
endif
	luacheck --quiet .ci csrc docs lua spec examples
	$(LUA) .ci/layers.lua

# LeakSanitizer is on for the C host only: Lua's own state and lua-cjson's known leak (spec/support/leaks.txt)
# are freed by neither busted nor os.exit. Here emulators refuse an external id that they have seen.
ASAN = CATALOG_UNIQUE_IDS=1 LD_PRELOAD=$(shell $(CC) -print-file-name=libasan.so) \
       ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
asan: deps-test
	@$(MAKE) -s BUILD=$(BUILD)/asan SANITIZE=address,undefined CFLAGS='-O1 -g' SPECS='$(SPECS)' specs PRELOAD='$(ASAN)'

# Eight threads, each with its own state, at an emulator in a process of its own.
tsan: deps
	@$(MAKE) -s all
	@$(MAKE) -s BUILD=$(BUILD)/tsan SANITIZE=thread CFLAGS='-O1 -g' all $(BUILD)/tsan/host
	@$(TREE) TSAN_HOST='$(abspath $(BUILD))/tsan' $(LUA) spec/scripts/tsan.lua

# libFuzzer: what it finds lies in build/fuzz, and its inputs grow in build/fuzz/corpus.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst spec/fuzz/%.lua,fuzz-%,$(sort $(wildcard spec/fuzz/*.lua)))
FUZZ_RULES   := BUILD=$(BUILD)/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS='-O1 -g'

fuzz: deps-dev
	@$(MAKE) -s $(FUZZ_TARGETS)

$(FUZZ_TARGETS): fuzz-%:
	@$(MAKE) -s $(FUZZ_RULES) all $(BUILD)/fuzz/harness
	@mkdir -p $(BUILD)/fuzz/corpus/$*
	@LUA_PATH='$(CURDIR)/lua/?.lua;;' LUA_CPATH='$(abspath $(BUILD))/fuzz/?.so;;' FUZZ_TARGET=spec/fuzz/$*.lua \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 $(BUILD)/fuzz/harness \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=30 -print_final_stats=1 -verbosity=0 -artifact_prefix=$(BUILD)/fuzz/$*- \
	    $(BUILD)/fuzz/corpus/$* spec/fuzz/corpus/$*

$(BUILD)/harness: spec/fuzz/fuzz.c Makefile
	@mkdir -p $(@D)
	@echo "  ld $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< \
	    $(shell pkg-config --libs $(LUA_PKG)) -Wl,-E

# Prints what it has measured.
torture: deps-dev
	@$(MAKE) -s all $(BUILD)/host $(BUILD)/disk.so $(OF_KAFKA)
	@$(TREE) CATALOG_BUILD='$(abspath $(BUILD))' $(LUA) spec/torture/run.lua

# What takes too long for each change. Each script ends with a line of `ok`, of `failed`, or of `pending` and
# the status 77: it cannot run here.
systems: deps-dev
	@.ci/deps debootstrap m4
	@failed=0; for script in spec/systems/*.sh; do \
	    if [ -x $$script ]; then $$script || [ $$? = 77 ] || failed=1; fi; \
	done; exit $$failed

# What LDoc has read of the sources; its warnings are errors.
REFERENCE := $(BUILD)/reference.lua
$(REFERENCE): config.ld docs/site/dump.lua \
              $(wildcard lua/*.lua lua/*/*.lua lua/*/*/*.lua csrc/*.[ch] csrc/*/*.c)
	@mkdir -p $(@D)
	@LUA_PATH='$(CURDIR)/?.lua;;' ldoc -c config.ld --filter docs.site.dump.write . >$@.part 2>$@.warnings
	@if [ -s $@.warnings ]; then cat $@.warnings >&2; exit 1; fi
	@mv $@.part $@

docs: deps-docs
	@$(MAKE) -s $(REFERENCE)
	@rm -rf $(BUILD)/docs
	@$(LUA) docs/site/build.lua $(BUILD)/docs $(REFERENCE)

# Its links, and its accessibility in Chromium, which npm brings the tools for.
docs-check:
	@BUILD='$(BUILD)' LUA='$(LUA)' docs/site/check.sh || [ $$? = 77 ]

# Types for editors that know LuaLS's annotations; a spec says when they are old.
types: deps-docs
	@$(MAKE) -s $(REFERENCE)
	@$(LUA) docs/site/types.lua docs/types/catalog.lua $(REFERENCE)

clean:
	rm -rf $(BUILD)
