/*** Signals that end a program, as errors of Lua: so that what is left is closed, and said.
 * @module catalog.core.system */
#include "signals.h"

#include "failure.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The signal that was not raised yet, or 0. It is the process's, as handlers are. */
static volatile sig_atomic_t arrived;

/* A wait that began just before the signal came is ended by an alarm, and the next, until somebody
 * has raised it. */
static void note(int number) {
    if (number != SIGALRM) {
        arrived = number;
    }
    if (arrived) {
        alarm(1);
    }
}

static void raise_arrived(lua_State *L, lua_Debug *where) {
    (void)where;
    int number = arrived;
    if (number == 0) {
        return;
    }
    arrived = 0;
    alarm(0);
    cat_failure(L, "cancelled", number == SIGINT ? "interrupted" : "ended by %s",
                number == SIGTERM ? "SIGTERM" : "SIGHUP");
    lua_pushinteger(L, number);
    lua_setfield(L, -2, "signal");
    lua_error(L);
}

static void handle(int number, int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    action.sa_flags = flags; /* no SA_RESTART: the wait under way is to end */
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL); /* cannot fail for the signals asked for here */
}

/*** Makes SIGINT, SIGTERM and SIGHUP errors from now on, of kind `cancelled` and with the number of
 * the `signal`, raised at the next call of a function; the second of a kind ends the process as it
 * always does. A SIGHUP that is ignored stays so. A pipe or a connection that nobody reads is an
 * error of the write, and no signal. For programs, not for hosts: handlers are the process's.
 * @function raise_signals */
int cat_raise_signals(lua_State *L) {
    struct sigaction hangup;
    handle(SIGINT, (int)SA_RESETHAND);
    handle(SIGTERM, (int)SA_RESETHAND);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
        handle(SIGHUP, (int)SA_RESETHAND);
    }
    handle(SIGALRM, 0);
    signal(SIGPIPE, SIG_IGN);
    lua_sethook(L, raise_arrived, LUA_MASKCALL, 0); /* coroutines made from now on have it too */
    return 0;
}
