/* A turn of the server: what a thread does again and again, or a caller's loop when the server's
 * descriptor is readable. Nothing here sleeps. */
#include "httpd.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* At the most so long from one turn to the next, milliseconds. */
#define LONGEST 60000

void wake_server(server *s) {
    uint64_t one = 1;
    ssize_t written = write(s->wake, &one, sizeof one); /* an eventfd takes it */
    (void)written;
}

void watch_daemon(server *s) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    s->polled[POLL_DAEMON] = (struct pollfd){.fd = info->epoll_fd, .events = POLLIN};
    s->polled[POLL_WAKE] = (struct pollfd){.fd = s->wake, .events = POLLIN};
    s->polled[POLL_LISTENER] = (struct pollfd){.fd = s->listener, .events = POLLIN};
}

/* The lesser of two numbers of milliseconds; -1 is none. */
static int64_t sooner(int64_t a, int64_t b) {
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int timeout_of(server *s, int64_t next_answer, int64_t next_room) {
    MHD_UNSIGNED_LONG_LONG idle;
    int64_t limit = sooner(next_answer, next_room);
    if (MHD_get_timeout(s->daemon, &idle) == MHD_YES) {
        limit = sooner(limit, (int64_t)idle);
    }
    return limit > LONGEST ? LONGEST : (int)limit;
}

int server_work(server *s) {
    uint64_t before = s->changes;
    MHD_run(s->daemon);
    bool refused = (s->polled[POLL_LISTENER].revents & POLLIN) && s->changes == before;
    int64_t room = refused ? make_room(s) : -1;
    s->polled[POLL_LISTENER].fd = refused ? -1 : s->listener; /* or poll would return at once */
    note_hangups(s);
    int64_t next = resume_due(s, false);
    return timeout_of(s, next, room);
}

void finish_requests(server *s) {
    resume_due(s, true);
    MHD_run(s->daemon);
}

/* --- without a thread --- */

static bool watch(server *s, int fd) {
    struct epoll_event readable = {.events = EPOLLIN};
    return epoll_ctl(s->events, EPOLL_CTL_ADD, fd, &readable) == 0;
}

bool watch_events(server *s) {
    s->events = epoll_create1(EPOLL_CLOEXEC);
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return s->events >= 0 && s->timer >= 0 && watch(s, s->timer) && watch(s, s->wake) &&
           watch(s, s->polled[POLL_DAEMON].fd) && watch(s, s->listener);
}

static void arm(server *s, int milliseconds) {
    struct itimerspec when = {
        .it_value = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L}};
    when.it_value.tv_nsec += milliseconds == 0; /* zero would be never */
    timerfd_settime(s->timer, 0, &when, NULL);  /* which cannot fail for such a time */
}

static void clear(int fd) {
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof count); /* what cannot be read is clear */
    (void)got;
}

void turn_once(server *s) {
    bool listened = s->polled[POLL_LISTENER].fd >= 0;
    poll(s->polled, POLLED, 0);
    clear(s->wake);
    clear(s->timer);
    resume_due(s, false);
    arm(s, server_work(s));
    bool listens = s->polled[POLL_LISTENER].fd >= 0;
    if (listens != listened && s->listener >= 0) {
        struct epoll_event knocks = {.events = listens ? EPOLLIN : 0u};
        epoll_ctl(s->events, EPOLL_CTL_MOD, s->listener, &knocks);
    }
}
