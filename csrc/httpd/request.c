/* Requests: their lives between libmicrohttpd's calls, their bodies, and the wait for an answer
 * that is delayed. */
#include "httpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first call for a request. What it gives is the request's `state` from then on. */
void *on_target(void *user, const char *target, struct MHD_Connection *mhd) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request *r = info->socket_context ? calloc(1, sizeof *r) : NULL;
    if (r) {
        r->server = user;
        r->mhd = mhd;
        r->connection = info->socket_context;
        r->target = strdup(target);
        r->spool_fd = -1;
        r->limit = -1;
        r->server->requests++;
    }
    return r;
}

/* --- waiting --- */

void answer_now(request *r) {
    r->due = 0;
    wake_server(r->server);
}

/* Suspends a request until it is due. False: the server is about to end, and nothing waits. */
static bool suspend(request *r, int64_t due) {
    server *s = r->server;
    if (s->stopping) {
        return false;
    }
    r->due = due;
    r->suspended = true;
    r->previous = NULL;
    r->next = s->suspended;
    if (s->suspended) {
        s->suspended->previous = r;
    }
    s->suspended = r;
    MHD_suspend_connection(r->mhd);
    return true;
}

static void unlink_suspended(request *r) {
    if (r->suspended) {
        *(r->previous ? &r->previous->next : &r->server->suspended) = r->next;
        if (r->next) {
            r->next->previous = r->previous;
        }
        r->suspended = false;
    }
}

int64_t resume_due(server *s, bool all) {
    int64_t now = now_ms(), soonest = -1;
    for (request *r = s->suspended, *next; r; r = next) {
        next = r->next;
        if (all || r->due <= now) {
            unlink_suspended(r);
            MHD_resume_connection(r->mhd);
            soonest = 0;
        } else if (soonest < 0 || r->due - now < soonest) {
            soonest = r->due - now;
        }
    }
    return soonest;
}

/* --- bodies --- */

/* Writes bytes of a body to its file. What is more than is kept, and all after a fault, is dropped.
 */
static void write_spool(request *r, const char *bytes, size_t size) {
    r->too_large = r->too_large || size > r->server->max_file - r->length;
    while (size > 0 && !r->too_large && !r->spool_error) {
        ssize_t written = write(r->spool_fd, bytes, size);
        if (written < 0 && errno != EINTR) {
            r->spool_error = errno;
            return;
        }
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
        r->length += written > 0 ? (size_t)written : 0;
    }
}

/* Nothing more of the body is kept, nor what was. */
static void drop_body(request *r) {
    r->dropped = true;
    free(r->body);
    r->body = NULL;
    r->length = r->capacity = 0;
    r->server->bodies -= r->counted;
    r->counted = 0;
}

/* Makes room for more of a body. False: there is none, and the body is dropped. */
static bool grow(request *r, size_t size) {
    server *s = r->server;
    size_t capacity = r->capacity ? r->capacity : 1024;
    while (capacity - r->length < size) {
        capacity *= 2;
    }
    bool fits = capacity - r->counted <= s->max_bodies - s->bodies;
    char *grown = fits ? realloc(r->body, capacity) : NULL;
    if (!grown) {
        r->crowded = true;
        drop_body(r);
        return false;
    }
    s->bodies += capacity - r->counted;
    r->body = grown;
    r->capacity = r->counted = capacity;
    return true;
}

/* Appends bytes to a body that is kept in memory. What is more than is kept is dropped. False:
 * nothing of the body is kept any more. */
static bool append(void *user, const char *bytes, size_t size) {
    request *r = user;
    if (size > r->server->max_memory - r->length) {
        r->too_large = true;
        drop_body(r);
    } else if (size <= r->capacity - r->length || grow(r, size)) {
        memcpy(r->body + r->length, bytes, size);
        r->length += size;
    }
    return !r->dropped;
}

/* Decodes bytes of a body that is encoded. */
static void decode(request *r, const char *bytes, size_t size) {
    r->damage = decoder_feed(r->decoder, bytes, size, append, r);
    if (r->damage) {
        drop_body(r);
    }
}

/* Takes a piece of a body. False: the request comes no further. */
static bool receive_body(request *r, const char *bytes, size_t *size) {
    size_t count = *size;
    *size = 0;
    connection_listen(r->connection);
    r->received += (int64_t)count;
    if (r->spool) {
        write_spool(r, bytes, count);
    } else if (!r->dropped && r->decoder) {
        decode(r, bytes, count);
    } else if (!r->dropped) {
        append(r, bytes, count);
    }
    return r->limit < 0 || r->received < r->limit;
}

/* All of the body is there. */
static void end_body(request *r) {
    if (r->decoder && !r->dropped) {
        r->damage = decoder_end(r->decoder);
    }
    decoder_free(r->decoder);
    r->decoder = NULL;
}

static void close_spool(request *r) {
    if (r->spool_fd >= 0) {
        close(r->spool_fd);
        r->spool_fd = -1;
    }
}

/* --- from the headers to the answer --- */

/* Shows the handler the headers. False: the request comes no further. */
static bool receive_headers(request *r, const char *method, const char *version) {
    r->opened = true;
    connection_listen(r->connection);
    const char *why = handler_open(r, method, version);
    if (why) {
        fprintf(stderr, "%s: %s: %s\n", r->server->name, r->target, why);
    }
    return why == NULL && r->limit != 0;
}

static bool is_answered(const request *r) {
    return r->response || r->raw.chosen;
}

/* Gets the answer, or has it announced. False: there is none to be had. */
static bool answer(request *r, const char *method, const char *version) {
    if (r->asked) { /* the server ends before there is one */
        r->due = 0;
        return respond_503(r);
    }
    r->asked = true;
    close_spool(r);
    end_body(r);
    connection_unlist(r->connection);
    const char *why = handler_answer(r, method, version);
    if (why) {
        forget_reply(r);
        r->due = 0;
    }
    return why ? respond_500(r, why) : true;
}

/* Whether the answer comes later, and the request waits for that. */
static bool waits(request *r) {
    return r->due > 0 && suspend(r, r->due);
}

/* Goes on with an answer that breaks HTTP. */
static enum MHD_Result continue_raw(request *r) {
    return send_raw(r) && suspend(r, now_ms() + r->raw.every) ? MHD_YES : MHD_NO;
}

/* Called with the headers, with each piece of the body, when all is there, and once more after a
 * delay. */
enum MHD_Result on_request(void *user, struct MHD_Connection *mhd, const char *url,
                           const char *method, const char *version, const char *bytes, size_t *size,
                           void **state) {
    (void)user, (void)url;
    request *r = *state;
    if (!r || !r->target) {
        return MHD_NO; /* no memory: the connection is closed */
    }
    if (!r->opened) {
        bool goes_on = receive_headers(r, method, version);
        if (!goes_on || !r->at_once) {
            return goes_on ? MHD_YES : MHD_NO;
        }
    }
    if (*size > 0) {
        return receive_body(r, bytes, size) ? MHD_YES : MHD_NO;
    }
    if (!is_answered(r)) {
        if (!answer(r, method, version)) {
            return MHD_NO;
        }
        if (waits(r)) {
            return MHD_YES;
        }
        if (!is_answered(r) && !respond_503(r)) {
            return MHD_NO;
        }
    }
    if (r->raw.chosen) {
        return continue_raw(r);
    }
    return MHD_queue_response(mhd, r->status, r->response);
}

void on_completed(void *user, struct MHD_Connection *mhd, void **state,
                  enum MHD_RequestTerminationCode code) {
    (void)user, (void)mhd, (void)code;
    request *r = *state;
    *state = NULL;
    if (r) {
        unlink_suspended(r);
        connection_listen(r->connection); /* it may go on with another */
        handler_forget(r);
        forget_reply(r);
        r->server->requests--;
        drop_body(r);
        decoder_free(r->decoder);
        if (r->response) {
            MHD_destroy_response(r->response);
        }
        close_spool(r);
        if (r->spool) {
            unlink(r->spool); /* what was not wanted; what was is elsewhere by now */
        }
        free(r->spool);
        free(r->raw.bytes);
        free(r->target);
        free(r);
    }
}
