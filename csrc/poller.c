/* An epoll descriptor with a timer inside it, behind which any number of sockets are watched. */
#include "poller.h"

#include "memory.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

void cat_poller_init(cat_poller *poller, lua_State *L) {
    *poller = (cat_poller){.L = L, .epoll = -1, .timer = -1, .queue = -1, .timer_due = CAT_NEVER};
}

bool cat_poller_open(cat_poller *poller) {
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll < 0) {
        return false;
    }
    poller->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = poller->timer};
    return poller->timer >= 0 &&
           epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->timer, &event) == 0;
}

void cat_poller_close(cat_poller *poller) {
    if (poller->epoll >= 0) {
        close(poller->epoll);
    }
    if (poller->timer >= 0) {
        close(poller->timer);
    }
    if (poller->sockets) {
        cat_resize(poller->L, poller->sockets, poller->capacity * sizeof *poller->sockets, 0);
    }
    cat_poller_init(poller, poller->L);
}

/* --- sockets --- */

/* Makes room for a descriptor. False when there is no memory. */
static bool reserve(cat_poller *poller, size_t descriptor) {
    if (descriptor < poller->capacity) {
        return true;
    }
    size_t old = poller->capacity, capacity = old ? old : 256, unit = sizeof *poller->sockets;
    while (capacity <= descriptor) {
        capacity *= 2;
    }
    cat_socket_state *grown = cat_resize(poller->L, poller->sockets, old * unit, capacity * unit);
    if (!grown) {
        return false;
    }
    memset(grown + old, 0, (capacity - old) * unit);
    poller->sockets = grown;
    poller->capacity = capacity;
    return true;
}

static void update_epoll(cat_poller *poller, int descriptor) {
    cat_socket_state *state = &poller->sockets[descriptor];
    if (state->want == state->have) {
        return;
    }
    int operation = state->want == 0   ? EPOLL_CTL_DEL
                    : state->have == 0 ? EPOLL_CTL_ADD
                                       : EPOLL_CTL_MOD;
    struct epoll_event event = {.events = state->want, .data.fd = descriptor};
    int result = epoll_ctl(poller->epoll, operation, descriptor, &event);
    if (result != 0 && errno == ENOENT && operation == EPOLL_CTL_MOD) {
        result = epoll_ctl(poller->epoll, EPOLL_CTL_ADD, descriptor, &event);
    } else if (result != 0 && errno == EEXIST && operation == EPOLL_CTL_ADD) {
        result = epoll_ctl(poller->epoll, EPOLL_CTL_MOD, descriptor, &event);
    }
    /* If epoll rejects the socket, libcurl's timers and the deadline still drive the transfer. */
    state->have = result == 0 ? state->want : 0;
}

bool cat_poller_add(cat_poller *poller, int descriptor) {
    if (!reserve(poller, (size_t)descriptor)) {
        return false;
    }
    poller->sockets[descriptor].have = 0;
    poller->sockets[descriptor].owned = true;
    return true;
}

bool cat_poller_listen(cat_poller *poller, int descriptor, void *listener) {
    errno = ENOMEM;
    if (!cat_poller_add(poller, descriptor)) {
        return false;
    }
    cat_socket_state *state = &poller->sockets[descriptor];
    state->want = EPOLLIN;
    state->listener = listener;
    errno = 0;
    update_epoll(poller, descriptor);
    if (state->have == 0) {
        cat_poller_remove(poller, descriptor, true);
        return false;
    }
    return true;
}

void cat_poller_watch(cat_poller *poller, int descriptor, uint32_t want) {
    if (descriptor < 0 || !reserve(poller, (size_t)descriptor)) {
        return; /* as in `update_epoll`: the timers remain */
    }
    cat_socket_state *state = &poller->sockets[descriptor];
    state->want = want;
    if (want == 0 && !state->owned) {
        update_epoll(poller, descriptor);
    } else if (!state->queued) {
        state->queued = true;
        state->next = poller->queue;
        poller->queue = descriptor;
    }
}

void cat_poller_remove(cat_poller *poller, int descriptor, bool owner) {
    if ((size_t)descriptor >= poller->capacity) {
        return;
    }
    cat_socket_state *state = &poller->sockets[descriptor];
    state->want = 0;
    state->owned = false;
    state->listener = NULL;
    if (owner) {
        update_epoll(poller, descriptor);
    }
    state->have = 0;
}

void cat_poller_flush(cat_poller *poller) {
    while (poller->queue >= 0) {
        int descriptor = poller->queue;
        poller->queue = poller->sockets[descriptor].next;
        poller->sockets[descriptor].queued = false;
        update_epoll(poller, descriptor);
    }
}

/* --- the timer --- */

bool cat_poller_set_timer(cat_poller *poller, int64_t due) {
    struct itimerspec setting = {0};
    if (due == poller->timer_due) {
        return true;
    }
    if (due != CAT_NEVER) {
        due = due > 0 ? due : CAT_AT_ONCE;
        setting.it_value.tv_sec = (time_t)(due / 1000000000);
        setting.it_value.tv_nsec = (long)(due % 1000000000);
    }
    if (timerfd_settime(poller->timer, TFD_TIMER_ABSTIME, &setting, NULL) != 0) {
        return false;
    }
    poller->timer_due = due;
    return true;
}
