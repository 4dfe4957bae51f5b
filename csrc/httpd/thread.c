/* The server's thread: it polls libmicrohttpd's epoll descriptor, and one by which other threads
 * wake it, to deliver a message or to stop. */
#include "httpd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* --- the mailbox --- */

void thread_post(server *s, const char *message, size_t length) {
    pthread_mutex_lock(&s->lock);
    s->message = message;
    s->message_length = length;
    wake_server(s);
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
            fprintf(stderr, "%s: %s\n", s->name, why);
        }
        s->message = NULL;
        pthread_cond_signal(&s->delivered);
    }
    pthread_mutex_unlock(&s->lock);
    return !s->stopping;
}

/* --- the loop --- */

static void *run(void *user) {
    server *s = user;
    while (!(s->polled[POLL_WAKE].revents & POLLIN) || read_mailbox(s)) {
        if (poll(s->polled, POLLED, server_work(s)) < 0 && errno != EINTR) {
            break;
        }
        resume_due(s, false);
    }
    finish_requests(s);
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
    wake_server(s);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->delivered);
    s->running = false;
}
