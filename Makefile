# make            builds the module, and the emulator where libmicrohttpd is installed
# make deps       installs what is missing (Debian and Ubuntu)
# make demo       deps, build, a batch created against the local emulator
# make test       deps, build, every spec
# make check      formatting, linters, analyzers
# make asan       the specs under AddressSanitizer and UndefinedBehaviorSanitizer
# make bench      what is measured, against bare libcurl and lua-cjson
# make emulator   PORT=8080: the emulator in the foreground
# make docs       the LDoc pages, in build/docs
# make install    PREFIX=/usr/local
# eval "$(make -s env)" lets lua5.4 find the build tree

LUA        ?= lua5.4
LUA_PKG    ?= lua5.4
PREFIX     ?= /usr/local
INST_LUADIR ?= $(PREFIX)/share/lua/5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4
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
SANITIZE   ?=
ifneq ($(SANITIZE),)
STANDARD   += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif

CORE_SRC   := $(sort $(wildcard csrc/*.c))
CORE_HDR   := $(wildcard csrc/*.h)
CORE       := $(BUILD)/catalog/core.so
HTTPD      := $(BUILD)/catalog/emulator/httpd.so
CORE_OBJ   := $(CORE_SRC:csrc/%.c=$(BUILD)/obj/%.o)

.PHONY: all deps demo test specs check asan bench emulator docs install uninstall env clean
all: $(CORE) $(if $(MHD_LIB),$(HTTPD))

$(BUILD)/obj/%.o: csrc/%.c $(CORE_HDR) Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(CURL_INC) -c -o $@ $<

$(CORE): $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(STANDARD) $(SHARED) -o $@ $^ $(CURL_LIB)

$(HTTPD): csrc/emulator/httpd.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(STANDARD) $(WARNINGS) $(LUA_INC) $(LDFLAGS) $(SHARED) -o $@ $< $(MHD_LIB)

