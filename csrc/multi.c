/* A curl_multi handle, driven by curl_multi_socket_action as in curl's own example ephiperfifo.c.
 * Its callbacks only take notes: what a socket is to be watched for, and when a timer is due. A
 * step acts on the notes: due timers, then the changes of the sockets in one go, then epoll_wait.
 * So a timer of 0 ms never meets timerfd_settime, for which 0 means "never". */
#include "multi.h"

#include "setopt.h"
#include "system.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A host that came back so long after a deadline was busy with other work; and how much longer such
 * a deadline becomes at the most. Nanoseconds. */
#define HOST_LATE     100000000
#define MAX_EXTENSION 1000000000

/* Connections kept for reuse; libcurl would keep four for each transfer in flight. */
#define IDLE_CONNECTIONS 128L

/* How often in its time an op with a `progress` is checked. */
#define STALL_CHECKS 4

#define EVENTS_A_WAIT 64

/* A host that waits on the descriptor itself has other things to do: it gets its turn after so many
 * events, unless those were cheap, and less than so many nanoseconds have passed. That of an upload
 * reads and sends UPLOAD_BUFFER bytes. */
#define EVENTS_A_SLICE 4
#define SLICE_TIME     400000

/* --- sockets --- */

/* CURLMOPT_SOCKETFUNCTION */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *assigned) {
    (void)easy, (void)assigned;
    cat_multi *multi = user;
    uint32_t in = what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0;
    uint32_t out = what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0;
    cat_poller_watch(&multi->poller, socket, what & CURL_POLL_REMOVE ? 0 : in | out);
    return 0;
}

curl_socket_t cat_multi_open_socket(void *user, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
    (void)purpose;
    cat_op *op = user; /* sockets are opened for active ops only */
    int descriptor = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    op->socket_error = descriptor < 0 ? errno : 0;
    if (descriptor < 0) {
        return CURL_SOCKET_BAD;
    }
    if (!cat_poller_add(&op->multi->poller, descriptor)) {
        close(descriptor);
        return CURL_SOCKET_BAD;
    }
    return descriptor;
}

int cat_multi_close_socket(void *user, curl_socket_t socket) {
    cat_multi *multi = user;
    cat_poller_remove(&multi->poller, socket, cat_in_owner_process(&multi->guard));
    return close(socket);
}

/* --- timers --- */

/* CURLMOPT_TIMERFUNCTION */
static int on_timer(CURLM *handle, long milliseconds, void *user) {
    (void)handle;
    cat_multi *multi = user;
    multi->curl_due = milliseconds < 0    ? CAT_NEVER
                      : milliseconds == 0 ? CAT_AT_ONCE
                                          : cat_monotonic() + (int64_t)milliseconds * 1000000;
    return 0;
}

/* When something is due at the latest. */
static int64_t next_due(const cat_multi *multi) {
    int64_t due = cat_heap_next(&multi->deadlines);
    due = due < multi->curl_due ? due : multi->curl_due;
    return due < multi->host_due ? due : multi->host_due;
}

bool cat_multi_update(cat_multi *multi) {
    if (!multi->shared) {
        return true;
    }
    cat_poller_flush(&multi->poller);
    bool ready = multi->completed.first || multi->wake_pending;
    return cat_poller_set_timer(&multi->poller, ready ? CAT_AT_ONCE : next_due(multi));
}

/* --- the handle --- */

/* NULL when there is no memory. */
static CURLM *make_handle(cat_multi *multi) {
    CURLM *handle = curl_multi_init();
    if (!handle) {
        return NULL;
    }
    CURLMcode code = CURLM_OK;
    cat_multi_setopt(&code, handle, CURLMOPT_SOCKETFUNCTION, on_socket);
    cat_multi_setopt(&code, handle, CURLMOPT_SOCKETDATA, multi);
    cat_multi_setopt(&code, handle, CURLMOPT_TIMERFUNCTION, on_timer);
    cat_multi_setopt(&code, handle, CURLMOPT_TIMERDATA, multi);
    cat_multi_setopt(&code, handle, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    if (code != CURLM_OK) {
        curl_multi_cleanup(handle);
        return NULL;
    }
    return handle;
}

/* Replaces a broken handle. False when there is no memory. */
static bool replace_handle(cat_multi *multi) {
    CURLM *handle = make_handle(multi);
    if (!handle) {
        return false;
    }
    curl_multi_cleanup(multi->handle);
    multi->handle = handle;
    multi->curl_due = CAT_NEVER;
    multi->broken = false;
    return true;
}

void cat_multi_init(cat_multi *multi, lua_State *L) {
    *multi = (cat_multi){.curl_due = CAT_NEVER, .host_due = CAT_NEVER};
    cat_poller_init(&multi->poller, L);
}

bool cat_multi_open(cat_multi *multi) {
    if (!cat_init_fork_guard(&multi->guard) || !cat_poller_open(&multi->poller)) {
        return false;
    }
    multi->handle = make_handle(multi);
    errno = ENOMEM;
    return multi->handle != NULL;
}

/* --- operations --- */

static void append(cat_op_list *list, cat_op *op) {
    op->previous = list->last;
    op->next = NULL;
    *(list->last ? &list->last->next : &list->first) = op;
    list->last = op;
}

static void unlink_op(cat_op_list *list, cat_op *op) {
    *(op->previous ? &op->previous->next : &list->first) = op->next;
    *(op->next ? &op->next->previous : &list->last) = op->previous;
    op->previous = op->next = NULL;
}

CURLMcode cat_multi_add(cat_multi *multi, cat_op *op, int64_t timeout) {
    if (!cat_heap_reserve(multi->poller.L, &multi->deadlines) ||
        (multi->broken && !replace_handle(multi))) {
        return CURLM_OUT_OF_MEMORY;
    }
    CURLMcode code = curl_multi_add_handle(multi->handle, op->easy);
    if (code != CURLM_OK) {
        return code;
    }
    op->multi = multi;
    op->done = op->timed_out = op->extended = false;
    op->socket_error = op->idle_ticks = 0;
    op->last_progress = 0;
    op->timeout = timeout;
    int64_t first_check = op->progress ? timeout / STALL_CHECKS : timeout;
    op->deadline.at = cat_add_time(cat_monotonic(), first_check);
    append(&multi->active, op);
    cat_heap_push(&multi->deadlines, &op->deadline);
    cat_multi_update(multi);
    return CURLM_OK;
}

bool cat_multi_listen(cat_multi *multi, cat_op *op) {
    if (!cat_poller_listen(&multi->poller, op->descriptor, op)) {
        return false;
    }
    op->multi = multi;
    op->done = false;
    append(&multi->active, op);
    return true;
}

/* Takes what is active out of what libcurl or epoll look at. */
static void stop(cat_multi *multi, cat_op *op) {
    if (op->easy) {
        curl_multi_remove_handle(multi->handle, op->easy);
    } else {
        cat_poller_remove(&multi->poller, op->descriptor, true);
    }
    cat_heap_remove(&multi->deadlines, &op->deadline);
    unlink_op(&multi->active, op);
}

bool cat_multi_remove(cat_op *op) {
    cat_multi *multi = op->multi;
    if (!multi) {
        return !op->leaked;
    }
    bool owner = cat_in_owner_process(&multi->guard);
    op->multi = NULL;
    if (op->done) {
        unlink_op(&multi->completed, op);
    } else if (owner) {
        stop(multi, op);
    }
    if (owner) { /* a child has the parent's descriptor, which is not its to change */
        cat_multi_update(multi);
    }
    return owner || op->done;
}

/* Ends an active op. */
static void complete(cat_multi *multi, cat_op *op, CURLcode result) {
    stop(multi, op);
    append(&multi->completed, op);
    op->result = result;
    op->done = true;
    multi->completed_count++;
}

static void complete_all(cat_multi *multi, CURLcode result) {
    while (multi->active.first) {
        complete(multi, multi->active.first, result);
    }
}

void cat_multi_cancel(cat_multi *multi, const void *owner) {
    if (!cat_in_owner_process(&multi->guard)) {
        return;
    }
    for (cat_op *op = multi->active.first, *next; op; op = next) {
        next = op->next;
        if (op->owner == owner) {
            complete(multi, op, CURLE_ABORTED_BY_CALLBACK);
        }
    }
    cat_multi_update(multi);
}

void cat_multi_close(cat_multi *multi) {
    bool owner = cat_in_owner_process(&multi->guard);
    if (owner) {
        complete_all(multi, CURLE_ABORTED_BY_CALLBACK);
    }
    for (cat_op *op; (op = multi->active.first);) {
        unlink_op(&multi->active, op);
        op->multi = NULL;
        op->leaked = true;
    }
    while (multi->completed.first) {
        cat_multi_remove(multi->completed.first);
    }
    if (multi->handle && owner) {
        curl_multi_cleanup(multi->handle); /* closes its sockets by cat_multi_close_socket */
    }
    multi->handle = NULL;
    cat_poller_close(&multi->poller);
    cat_free_fork_guard(&multi->guard);
    cat_heap_free(multi->poller.L, &multi->deadlines);
}

/* --- one step --- */

/* libcurl acts on what happened to a descriptor. When it has no memory for that, it does not say
 * which op that is the end of, and 7.88 divides by zero when it meets the same descriptor again:
 * all ops end, and with them the multi handle. */
static void socket_action(cat_multi *multi, curl_socket_t descriptor, int what) {
    int running;
    CURLMcode code = curl_multi_socket_action(multi->handle, descriptor, what, &running);
    if (code != CURLM_OK && code != CURLM_BAD_SOCKET) {
        multi->broken = true;
        complete_all(multi, code == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT);
        multi->curl_due = CAT_NEVER;
    }
}

static void run_due_timer(cat_multi *multi, int64_t now) {
    if (multi->curl_due <= now) {
        multi->curl_due = CAT_NEVER; /* before the call, which may set the next */
        socket_action(multi, CURL_SOCKET_TIMEOUT, 0);
    }
}

static void dispatch_event(cat_multi *multi, const struct epoll_event *event) {
    int descriptor = event->data.fd, what = 0;
    if (descriptor == multi->poller.timer) {
        cat_poller_set_timer(&multi->poller, CAT_NEVER); /* this is the call it woke a host for */
        return;
    }
    cat_op *listener = multi->poller.sockets[descriptor].listener;
    if (listener) {
        complete(multi, listener, CURLE_OK);
        return;
    }
    /* An event before this one may have taken interest back. */
    if (multi->poller.sockets[descriptor].want == 0 || multi->broken) {
        return;
    }
    what |= event->events & (uint32_t)EPOLLIN ? CURL_CSELECT_IN : 0;
    what |= event->events & (uint32_t)EPOLLOUT ? CURL_CSELECT_OUT : 0;
    what |= event->events & (uint32_t)(EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
    socket_action(multi, descriptor, what);
}

/* Completes what libcurl is done with. */
static void reap(cat_multi *multi) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(multi->handle, &left))) {
        char *op = NULL;
        CURLcode result = message->data.result; /* the message dies with curl_multi_remove_handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &op);
        complete(multi, (cat_op *)(void *)op, result);
    }
}

static void postpone(cat_multi *multi, cat_op *op, int64_t at) {
    cat_heap_remove(&multi->deadlines, &op->deadline);
    op->deadline.at = at;
    cat_heap_push(&multi->deadlines, &op->deadline);
}

/* Checks an op whose timeout is that for standing still. */
static bool still_progressing(cat_multi *multi, cat_op *op, int64_t now) {
    if (!op->progress) {
        return false;
    }
    bool moved = *op->progress != op->last_progress;
    op->idle_ticks = moved ? 0 : op->idle_ticks + 1;
    op->extended = op->extended && !moved;
    op->last_progress = *op->progress;
    if (op->idle_ticks >= STALL_CHECKS) {
        return false;
    }
    postpone(multi, op, cat_add_time(now, op->timeout / STALL_CHECKS));
    return true;
}

/* Ends the ops whose deadline has passed, once what had happened before was acted on. Where the
 * host was busy the server may have had no chance: such a deadline is extended once. */
static void expire_deadlines(cat_multi *multi, int64_t now) {
    while (cat_heap_next(&multi->deadlines) <= now) {
        cat_op *op = (cat_op *)(void *)multi->deadlines.entries[0];
        bool host_was_late = op->deadline.at <= multi->step_began - HOST_LATE;
        if (still_progressing(multi, op, now)) {
            continue;
        }
        if (host_was_late && !op->extended) {
            op->extended = true;
            postpone(multi, op, now + (op->timeout < MAX_EXTENSION ? op->timeout : MAX_EXTENSION));
            continue;
        }
        op->timed_out = true;
        complete(multi, op, CURLE_OPERATION_TIMEDOUT);
    }
}

/* epoll_wait's milliseconds from now to `due`: rounded up, so that nothing is woken early to spin.
 */
static int milliseconds_to(int64_t due, int64_t now) {
    if (due <= now) {
        return 0;
    }
    int64_t left = (due - now - 1) / 1000000 + 1;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/* Waits until `limit` at the most, and acts on what happens, on `*events` events at a time, which
 * becomes the number there were. Returns 0, or the errno of the wait. */
static int poll_once(cat_multi *multi, int64_t limit, int *events) {
    struct epoll_event ready[EVENTS_A_WAIT];
    int max = *events;
    *events = 0;
    size_t before = multi->completed_count;
    int64_t now = cat_monotonic();
    run_due_timer(multi, now);
    reap(multi);
    if (multi->completed_count != before) {
        return 0;
    }
    cat_poller_flush(&multi->poller);
    int64_t due = next_due(multi);
    int wait = milliseconds_to(due < limit ? due : limit, now);
    int count = epoll_wait(multi->poller.epoll, ready, max, wait);
    if (count < 0) {
        return errno;
    }
    *events = count;
    for (int i = 0; i < count; i++) {
        dispatch_event(multi, &ready[i]);
    }
    reap(multi);
    now = cat_monotonic();
    /* There may be more that has happened, but not for ever: an upload can always go on. */
    if (count < max || cat_add_time(cat_heap_next(&multi->deadlines), MAX_EXTENSION) <= now) {
        expire_deadlines(multi, now);
    }
    return 0;
}

/* Goes on until something is done, or `limit`. Returns as `poll_once`. */
static int run_until(cat_multi *multi, int64_t limit) {
    size_t before = multi->completed_count;
    int error, events;
    do {
        events = EVENTS_A_WAIT;
        error = poll_once(multi, limit, &events);
    } while (error == 0 && multi->completed_count == before && cat_monotonic() < limit);
    return error;
}

/* Does what can be done at once, and soon. Returns as `poll_once`. */
static int run_slice(cat_multi *multi, int64_t began) {
    int error, events;
    do {
        events = EVENTS_A_SLICE;
        error = poll_once(multi, began, &events);
    } while (error == 0 && events == EVENTS_A_SLICE && cat_monotonic() < began + SLICE_TIME);
    return error;
}

int cat_multi_step(cat_multi *multi, int64_t wait) {
    multi->step_began = cat_monotonic();
    int64_t limit = cat_add_time(multi->step_began, wait);
    limit = limit < multi->host_due ? limit : multi->host_due;
    return wait > 0 ? run_until(multi, limit) : run_slice(multi, multi->step_began);
}
