#include "lines.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONGEST 1024 /* bytes of a line, with its end */

struct connection {
    int socket;
    size_t used; /* of `line` */
    char line[LONGEST];
    connection *next;
};

/* False with errno set. */
static bool read_port(const char *text, in_port_t *port) {
    char *rest;
    errno = 0;
    long number = strtol(text, &rest, 10);
    if (errno != 0 || rest == text || *rest || number < 0 || number > UINT16_MAX) {
        errno = EINVAL;
        return false;
    }
    *port = htons((uint16_t)number);
    return true;
}

bool lines_open(lines *s, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int on = 1;
    *s = (lines){.listener = -1};
    if (!read_port(port, &address.sin_port)) {
        return false;
    }
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(s->listener, SOMAXCONN) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &length) != 0) {
        return false;
    }
    s->port = ntohs(address.sin_port);
    return true;
}

size_t lines_count(const lines *s) {
    size_t count = 1;
    for (const connection *c = s->connections; c; c = c->next) {
        count++;
    }
    return count;
}

int lines_list(lines *s, struct pollfd *polled) {
    int patience = s->full ? 100 : -1;
    *polled++ = (struct pollfd){.fd = s->full ? -1 : s->listener, .events = POLLIN};
    s->full = false;
    for (const connection *c = s->connections; c; c = c->next) {
        *polled++ = (struct pollfd){.fd = c->socket, .events = POLLIN};
    }
    return patience;
}

/* Answers the lines that are there as a whole. False: the connection is over, since a line is too
 * long, or since whoever sent it does not read what comes back. */
static bool answer(lines *s, connection *c) {
    char text[LONGEST + 32];
    for (char *end; (end = memchr(c->line, '\n', c->used));) {
        size_t length = (size_t)(end - c->line) + 1;
        int digits = snprintf(text, sizeof text - LONGEST, "%lu ", s->answered + 1);
        if (digits < 0) {
            return false;
        }
        size_t total = (size_t)digits + length;
        memcpy(text + digits, c->line, length);
        if (send(c->socket, text, total, MSG_NOSIGNAL) != (ssize_t)total) {
            return false;
        }
        s->answered++;
        c->used -= length;
        memmove(c->line, end + 1, c->used);
    }
    return c->used < sizeof c->line;
}

/* False: the connection is over. */
static bool read_lines(lines *s, connection *c) {
    ssize_t got = recv(c->socket, c->line + c->used, sizeof c->line - c->used, 0);
    if (got <= 0) {
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    c->used += (size_t)got;
    return answer(s, c);
}

static void welcome(lines *s) {
    int socket = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
        s->full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        return;
    }
    connection *c = malloc(sizeof *c);
    if (!c) {
        close(socket);
        return;
    }
    c->socket = socket;
    c->used = 0;
    c->next = s->connections;
    s->connections = c;
}

static void take_leave(connection **at) {
    connection *c = *at;
    *at = c->next;
    close(c->socket);
    free(c);
}

void lines_serve(lines *s, const struct pollfd *polled) {
    const struct pollfd *entry = polled + 1;
    for (connection **at = &s->connections; *at; entry++) {
        if (entry->revents && !read_lines(s, *at)) {
            take_leave(at);
        } else {
            at = &(*at)->next;
        }
    }
    if (polled->revents) {
        welcome(s);
    }
}

void lines_close(lines *s) {
    while (s->connections) {
        take_leave(&s->connections);
    }
    if (s->listener >= 0) {
        close(s->listener);
    }
}
