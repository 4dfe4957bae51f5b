/* Where a server listens. */
#include "httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
} address;

static const char *error_text(void) {
    return strerror(errno);
}

/* --- what may reach it --- */

static bool is_loopback_v6(const struct in6_addr *ip) {
    return IN6_IS_ADDR_LOOPBACK(ip) || (IN6_IS_ADDR_V4MAPPED(ip) && ip->s6_addr[12] == 127);
}

/* Whether other machines can reach an address. */
static bool is_beyond(const address *a) {
    switch (a->any.sa_family) {
    case AF_UNIX:
        return false;
    case AF_INET:
        return ntohl(a->v4.sin_addr.s_addr) >> 24 != 127;
    case AF_INET6:
        return !is_loopback_v6(&a->v6.sin6_addr);
    default:
        return true;
    }
}

static uint16_t port_of(const address *a) {
    return a->any.sa_family == AF_INET    ? ntohs(a->v4.sin_port)
           : a->any.sa_family == AF_INET6 ? ntohs(a->v6.sin6_port)
                                          : 0;
}

/* Looks where a socket is bound. NULL, or why it cannot be listened on. */
static const char *look_at(server *s, bool beyond) {
    address bound;
    socklen_t length = sizeof bound;
    memset(&bound, 0, sizeof bound);
    if (getsockname(s->listener, &bound.any, &length) != 0) {
        return error_text();
    }
    s->port = port_of(&bound);
    return is_beyond(&bound) && !beyond ? "other machines can reach it" : NULL;
}

/* --- an address --- */

/* False: it is no address in numbers. */
static bool parse(const char *text, uint16_t port, address *a, socklen_t *length) {
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        *length = sizeof a->v4;
        return true;
    }
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons(port);
    *length = sizeof a->v6;
    return inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1;
}

static bool open_socket(server *s, int family) {
    s->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return s->listener >= 0;
}

static const char *bind_address(server *s, const place *where) {
    address a;
    socklen_t length;
    int on = 1;
    if (where->port < 0 || where->port > 65535) {
        return "no such port";
    }
    if (!parse(where->address, (uint16_t)where->port, &a, &length)) {
        return "it is no address in numbers";
    }
    if (is_beyond(&a) && !where->beyond) {
        return "other machines can reach it";
    }
    bool bound = open_socket(s, a.any.sa_family) &&
                 setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 bind(s->listener, &a.any, length) == 0;
    return bound ? NULL : error_text();
}

/* --- a socket in the file system --- */

/* Whether the socket at an address is left over from a process that has ended. */
static bool is_left_over(const address *a) {
    struct stat found;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused =
        probe >= 0 && connect(probe, &a->any, sizeof a->local) != 0 && errno == ECONNREFUSED;
    if (probe >= 0) {
        close(probe);
    }
    return refused && lstat(a->local.sun_path, &found) == 0 && S_ISSOCK(found.st_mode);
}

/* Binds; what is left over makes way. */
static bool bind_local(server *s, const address *a) {
    if (bind(s->listener, &a->any, sizeof a->local) == 0) {
        return true;
    }
    if (errno == EADDRINUSE && is_left_over(a) && unlink(a->local.sun_path) == 0) {
        return bind(s->listener, &a->any, sizeof a->local) == 0;
    }
    errno = errno == ECONNREFUSED ? EADDRINUSE : errno;
    return false;
}

static const char *bind_path(server *s, const char *path) {
    address a;
    struct stat made;
    memset(&a, 0, sizeof a);
    a.local.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof a.local.sun_path) {
        return "the path is too long for a socket";
    }
    memcpy(a.local.sun_path, path, strlen(path));
    /* the file gets the mode of its socket: it is at no time open to others */
    if (!open_socket(s, AF_UNIX) || fchmod(s->listener, 0600) != 0 || !bind_local(s, &a)) {
        return error_text();
    }
    s->path = strdup(path);
    if (!s->path || stat(path, &made) != 0) {
        return error_text();
    }
    s->device = made.st_dev;
    s->inode = made.st_ino;
    return NULL;
}

/* --- a descriptor that was inherited --- */

static const char *take_descriptor(server *s, int fd) {
    int listens = 0;
    socklen_t length = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0) {
        return error_text();
    }
    int flags = fcntl(fd, F_GETFL);
    if (!listens) {
        return "nobody listens on it";
    }
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return error_text();
    }
    s->listener = fd;
    return NULL;
}

/* --- all of them --- */

const char *listen_at(server *s, const place *where) {
    const char *why = where->descriptor >= 0 ? take_descriptor(s, (int)where->descriptor)
                      : where->path          ? bind_path(s, where->path)
                                             : bind_address(s, where);
    why = why ? why : look_at(s, where->beyond);
    return why ? why : listen(s->listener, BACKLOG) == 0 ? NULL : error_text();
}

void close_listener(server *s) {
    struct stat found;
    if (s->listener >= 0) {
        close(s->listener);
        s->listener = -1;
    }
    if (s->path) {
        bool ours =
            lstat(s->path, &found) == 0 && found.st_dev == s->device && found.st_ino == s->inode;
        if (ours) {
            unlink(s->path);
        }
        free(s->path);
        s->path = NULL;
    }
}
