/*** What plain Lua lacks and we need of the system: clocks, random bytes, terminals. What we need
 * of files is in fs.c.
 * @module catalog.core.system */
#include "system.h"

#include "service.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now); /* cannot fail for the two clocks asked for here */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t cat_monotonic(void) {
    return read_clock(CLOCK_MONOTONIC);
}

/*** A clock that only goes forward.
 * @function monotonic
 * @treturn number seconds since some point in the past */
static int system_monotonic(lua_State *L) {
    lua_pushnumber(L, (lua_Number)cat_monotonic() / 1e9);
    return 1;
}

/*** The time of day.
 * @function now
 * @treturn integer milliseconds since the epoch */
static int system_now(lua_State *L) {
    lua_pushinteger(L, read_clock(CLOCK_REALTIME) / 1000000);
    return 1;
}

/*** Random bytes of the system, good enough for ids nobody may guess.
 * @function random
 * @tparam integer count 1 to 256 bytes
 * @treturn string the bytes */
static int system_random(lua_State *L) {
    char bytes[256]; /* up to 256 bytes come whole or not at all: getrandom(2) */
    lua_Integer count = luaL_checkinteger(L, 1);
    luaL_argcheck(L, count >= 1 && count <= (lua_Integer)sizeof bytes, 1, "1 to 256 expected");
    if (getrandom(bytes, (size_t)count, 0) != (ssize_t)count) {
        return luaL_error(L, "no random bytes: %s", strerror(errno));
    }
    lua_pushlstring(L, bytes, (size_t)count);
    return 1;
}

/*** Whether a descriptor is a terminal.
 * @function isatty
 * @tparam integer descriptor
 * @treturn boolean */
static int system_isatty(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/*** How wide a terminal is.
 * @function columns
 * @tparam integer descriptor
 * @treturn ?integer characters; nil: it is no terminal, or does not say */
static int system_columns(lua_State *L) {
    struct winsize size = {0};
    if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 0;
    }
    lua_pushinteger(L, size.ws_col);
    return 1;
}

/*** Whether two secrets are the same, in a time that tells nothing of where they differ.
 * @function same_secret
 * @tparam string given
 * @tparam string wanted
 * @treturn boolean */
static int system_same_secret(lua_State *L) {
    size_t length, wanted_length;
    const char *given = luaL_checklstring(L, 1, &length);
    const char *wanted = luaL_checklstring(L, 2, &wanted_length);
    volatile unsigned char differs = length != wanted_length;
    for (size_t i = 0; i < length && wanted_length > 0; i++) {
        differs |= (unsigned char)(given[i] ^ wanted[i % wanted_length]);
    }
    lua_pushboolean(L, !differs);
    return 1;
}

/* Whether a descriptor was closed when the program began, and nothing has taken its number. */
static bool is_closed(int descriptor) {
    return fcntl(descriptor, F_GETFD) < 0 && errno == EBADF;
}

/*** Takes the descriptors of standard output and standard error where they are closed: else the
 * next connection or file gets their numbers, and what is printed. Writing to them fails, as it
 * did. For programs, before they open anything.
 * @function reserve_output */
static int system_reserve_output(lua_State *L) {
    (void)L;
    for (int wanted = STDOUT_FILENO; wanted <= STDERR_FILENO; wanted++) {
        if (!is_closed(wanted)) {
            continue;
        }
        int opened = open("/dev/null", O_RDONLY);
        if (opened >= 0 && opened != wanted) {
            dup2(opened, wanted); /* where it fails all stays as it was */
            close(opened);
        }
    }
    return 0;
}

int cat_system_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"monotonic", system_monotonic},
                                         {"now", system_now},
                                         {"random", system_random},
                                         {"isatty", system_isatty},
                                         {"columns", system_columns},
                                         {"reserve_output", system_reserve_output},
                                         {"raise_signals", cat_raise_signals},
                                         {"catch_signals", cat_catch_signals},
                                         {"notify", cat_notify},
                                         {"inherited_sockets", cat_inherited_sockets},
                                         {"same_secret", system_same_secret},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
