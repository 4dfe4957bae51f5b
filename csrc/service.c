/*** What a service and the manager that has started it tell each other, by systemd's protocols.
 * @module catalog.core.system */
#include "service.h"

#include "failure.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VARIABLE "NOTIFY_SOCKET"

/* The address of a socket, a path or, after an @, a name. Its length, or 0: it is none. */
static socklen_t read_address(const char *text, struct sockaddr_un *address) {
    size_t length = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || length >= sizeof address->sun_path) {
        return 0;
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, text, length);
    if (text[0] == '@') {
        address->sun_path[0] = '\0';
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* 0, or an errno. */
static int send_to(const struct sockaddr_un *address, socklen_t length, const char *text,
                   size_t size) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    ssize_t sent = sendto(fd, text, size, MSG_NOSIGNAL, (const struct sockaddr *)address, length);
    int error = sent < 0 ? errno : 0;
    close(fd);
    return error;
}

/*** Tells the manager of services something, such as `READY=1` or `STOPPING=1`: a datagram to the
 * socket that the environment names.
 * @function notify
 * @tparam string text
 * @treturn[1] boolean false: nobody wants to know
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
int cat_notify(lua_State *L) {
    size_t size;
    struct sockaddr_un address;
    const char *text = luaL_checklstring(L, 1, &size);
    const char *socket_name = getenv(VARIABLE);
    if (!socket_name || !*socket_name) {
        lua_pushboolean(L, 0);
        return 1;
    }
    socklen_t length = read_address(socket_name, &address);
    int error = length ? send_to(&address, length, text, size) : EINVAL;
    if (error) {
        return cat_failure(L, "config", "%s (%s) cannot be told: %s", VARIABLE, socket_name,
                           strerror(error));
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* A variable that is a whole number, or -1. */
static long read_variable(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    long number = text && *text ? strtol(text, &end, 10) : -1;
    return end && *end == '\0' ? number : -1;
}

/*** How many sockets the manager has opened for this process: the descriptors from 3 on.
 * @function inherited_sockets
 * @treturn integer */
int cat_inherited_sockets(lua_State *L) {
    bool ours = read_variable("LISTEN_PID") == (long)getpid();
    long count = ours ? read_variable("LISTEN_FDS") : 0;
    lua_pushinteger(L, count > 0 ? count : 0);
    return 1;
}
