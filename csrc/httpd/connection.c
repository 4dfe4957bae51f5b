/* Connections: who is connected, who has closed, and who has to go. */
#include "httpd.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* So long a client has to have kept quiet before its connection is closed for the sake of others,
 * milliseconds. */
#define QUIET_MS 500

void connection_unlist(connection *c) {
    if (c->listed) {
        *(c->previous ? &c->previous->next : &c->server->quietest) = c->next;
        *(c->next ? &c->next->previous : &c->server->liveliest) = c->previous;
        c->listed = false;
    }
}

void connection_listen(connection *c) {
    server *s = c->server;
    connection_unlist(c);
    c->last_heard = now_ms();
    c->listed = true;
    c->previous = s->liveliest;
    c->next = NULL;
    *(s->liveliest ? &s->liveliest->next : &s->quietest) = c;
    s->liveliest = c;
}

/* Makes the `connection` of a new one. NULL: there is no memory. */
static connection *open_connection(server *s, int fd) {
    connection *c = calloc(1, sizeof *c);
    if (c) {
        struct epoll_event closed = {.events = EPOLLRDHUP, .data.ptr = c};
        c->server = s;
        c->fd = fd;
        epoll_ctl(s->hangups, EPOLL_CTL_ADD, fd, &closed); /* without it there is the time-out */
        connection_listen(c);
    }
    return c;
}

static void close_connection(connection *c) {
    /* explicitly: a forked child may have the socket, and closing ours would not take it away */
    epoll_ctl(c->server->hangups, EPOLL_CTL_DEL, c->fd, NULL);
    connection_unlist(c);
    free(c);
}

void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                   enum MHD_ConnectionNotificationCode code) {
    server *s = user;
    s->changes++;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *context = open_connection(s, fd);
        if (!*context) {
            shutdown(fd, SHUT_RDWR);
        }
    } else if (*context) {
        close_connection(*context);
        *context = NULL;
    }
}

/* libmicrohttpd is told of changes only, and does not look for more after it has read less than it
 * asked for: when the end of the stream came with the last bytes, it would hear no more of the
 * connection until the time-out. To close our side for reading is a change, and loses nothing once
 * all was read. */
void note_hangups(server *s) {
    struct epoll_event events[64];
    const int most = sizeof events / sizeof *events;
    int count = most;
    for (int seen = 0; count == most && seen <= MAX_CONNECTIONS; seen += most) {
        count = epoll_wait(s->hangups, events, most, 0);
        for (int i = 0; i < count; i++) {
            connection *c = events[i].data.ptr;
            char byte;
            if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) {
                shutdown(c->fd, SHUT_RD);
                epoll_ctl(s->hangups, EPOLL_CTL_DEL, c->fd, NULL);
            }
        }
    }
}

int64_t make_room(server *s) {
    connection *c = s->quietest;
    int64_t left = c ? c->last_heard + QUIET_MS - now_ms() : -1;
    if (c && left <= 0) {
        connection_unlist(c);
        shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd hears of it, and closes it */
        return -1;
    }
    return left;
}
