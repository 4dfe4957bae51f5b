/*** Signals that end a program, as errors of Lua, so that what is left is closed, and said; or as
 * what is waited for, for a program that goes on until it gets one.
 * @module catalog.core.system */
#include "signals.h"

#include "failure.h"
#include "handle.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SIGNALS "catalog.signals"

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

/* --- signals that are waited for --- */

typedef struct {
    int descriptor; /* -1: closed */
    sigset_t before;
} caught_signals;

/*** Lets signals do again what they did before.
 * @function signals:close */
static int signals_close(lua_State *L) {
    caught_signals *self = cat_handle_self(L, SIGNALS);
    if (self->descriptor >= 0) {
        close(self->descriptor);
        self->descriptor = -1;
        pthread_sigmask(SIG_SETMASK, &self->before, NULL);
    }
    return 0;
}

/*** What is readable when a signal has arrived.
 * @function signals:fd
 * @treturn integer a descriptor */
static int signals_fd(lua_State *L) {
    const caught_signals *self = cat_handle_self(L, SIGNALS);
    lua_pushinteger(L, self->descriptor);
    return 1;
}

/* The next signal ends the process. */
static void let_end(void) {
    sigset_t ends;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
}

/*** Takes the next signal that has arrived. What comes after a SIGINT or SIGTERM ends the process
 * as it always does.
 * @function signals:take
 * @treturn ?string `SIGINT`, `SIGTERM` or `SIGHUP`; nil: none has arrived */
static int signals_take(lua_State *L) {
    const caught_signals *self = cat_handle_self(L, SIGNALS);
    struct signalfd_siginfo info;
    if (read(self->descriptor, &info, sizeof info) != (ssize_t)sizeof info) {
        return 0;
    }
    if (info.ssi_signo != SIGHUP) {
        let_end();
    }
    lua_pushstring(L, info.ssi_signo == SIGHUP   ? "SIGHUP"
                      : info.ssi_signo == SIGINT ? "SIGINT"
                                                 : "SIGTERM");
    return 1;
}

static void open_signals(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"fd", signals_fd}, {"take", signals_take}, {"close", signals_close}, {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", signals_close}, {"__close", signals_close}, {NULL, NULL}};
    cat_handle(L, SIGNALS, events, methods);
}

/*** Makes SIGINT, SIGTERM and SIGHUP what a program waits for, by a descriptor: they end nothing
 * and raise nothing. Threads that are begun from now on leave them alone. A SIGHUP that is ignored
 * stays so.
 * @function catch_signals
 * @treturn[1] signals `fd`, `take`, `close`
 * @treturn[2] nil
 * @treturn[2] table error of kind `limit` */
int cat_catch_signals(lua_State *L) {
    sigset_t caught;
    struct sigaction hangup;
    open_signals(L);
    caught_signals *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->descriptor = -1;
    luaL_setmetatable(L, SIGNALS);
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
        sigaddset(&caught, SIGHUP);
    }
    self->descriptor = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self->descriptor < 0) {
        return cat_failure(L, "limit", "signals cannot be waited for: %s", strerror(errno));
    }
    pthread_sigmask(SIG_BLOCK, &caught, &self->before); /* cannot fail for such a set */
    return 1;
}
