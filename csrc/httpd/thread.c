/* The server's thread: it polls libmicrohttpd's epoll descriptor, and one by which other threads
 * wake it, to deliver a message or to stop. Nothing here sleeps. */
#include "httpd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* --- the mailbox --- */

static void wake(server *s) {
    uint64_t one = 1;
    ssize_t written = write(s->wake, &one, sizeof one); /* an eventfd takes it */
    (void)written;
}

void thread_post(server *s, const char *message, size_t length) {
    pthread_mutex_lock(&s->lock);
    s->message = message;
    s->message_length = length;
    wake(s);
    while (s->message) {
        pthread_cond_wait(&s->delivered, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Delivers what another thread has posted. False: this one is to end. */
static bool read_mailbox(server *s) {
    uint64_t count;
    ssize_t got = read(s->wake, &count, sizeof count);
    (void)got;
    pthread_mutex_lock(&s->lock);
    if (s->message) {
        const char *why = handler_deliver(s);
        if (why) {
            fprintf(stderr, "emulator: %s\n", why);
        }
        s->message = NULL;
        pthread_cond_signal(&s->delivered);
    }
    pthread_mutex_unlock(&s->lock);
    return !s->stopping;
}

/* --- the loop --- */

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
    return limit > 60000 ? 60000 : (int)limit;
}

static void *run(void *user) {
    server *s = user;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd polled[3] = {{.fd = info->epoll_fd, .events = POLLIN},
                               {.fd = s->wake, .events = POLLIN},
                               {.fd = s->listener, .events = POLLIN}};
    while (!(polled[1].revents & POLLIN) || read_mailbox(s)) {
        uint64_t before = s->changes;
        MHD_run(s->daemon);
        bool refused = (polled[2].revents & POLLIN) && s->changes == before;
        int64_t room = refused ? make_room(s) : -1;
        polled[2].fd = refused ? -1 : s->listener; /* or poll would return at once */
        note_hangups(s);
        int64_t next = resume_due(s, false);
        if (poll(polled, 3, timeout_of(s, next, room)) < 0 && errno != EINTR) {
            break;
        }
        resume_due(s, false);
    }
    resume_due(s, true); /* libmicrohttpd cannot stop while connections are suspended */
    MHD_run(s->daemon);
    return NULL;
}

/* The thread takes no signals: they are the host's. What a thread does wrong itself is not for
 * others to hear, and a sanitizer's report depends on it. */
int thread_start(server *s) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        sigdelset(&all, own[i]);
    }
    pthread_mutex_init(&s->lock, NULL); /* neither can fail with Linux's defaults */
    pthread_cond_init(&s->delivered, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = error == 0;
    return error;
}

void thread_stop(server *s) {
    s->stopping = true;
    wake(s);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->delivered);
    s->running = false;
}
