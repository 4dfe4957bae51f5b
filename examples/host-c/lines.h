/* What the host does besides: a service on a TCP port of the loopback that answers each line, at
 * once, with its number and itself. */
#ifndef LINES_H
#define LINES_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct connection connection;

typedef struct {
    int listener, port;
    bool full; /* of descriptors: the next connection is accepted a little later */
    unsigned long answered;
    connection *connections;
} lines;

/* Listens; port 0 is a free one, which `port` says then. False with errno set. */
bool lines_open(lines *s, const char *port);

/* How many descriptors there are to poll. */
size_t lines_count(const lines *s);

/* Writes so many entries. Returns for how long poll may wait, in milliseconds; -1: for ever. */
int lines_list(lines *s, struct pollfd *polled);

/* Acts on what poll said of these entries. */
void lines_serve(lines *s, const struct pollfd *polled);

void lines_close(lines *s);

#endif
