/* What the parts of catalog.httpd know of each other: the server, its connections and their
 * requests. Where the server has a thread, all of it happens there, beside starting, posting and
 * stopping; else it happens wherever the server is turned. */
#ifndef CAT_HTTPD_H
#define CAT_HTTPD_H

#include <lua.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define MAX_CONNECTIONS 16384
#define WHEN_ANSWERED   INT64_MAX

/* What is polled: libmicrohttpd's epoll descriptor, the server's `wake` and its `listener`. */
enum { POLL_DAEMON, POLL_WAKE, POLL_LISTENER, POLLED };

typedef struct server server;
typedef struct decoder decoder;

/* One connection. While the server waits for bytes of its client it is in the server's list, in
 * which the client that has been quiet for the longest time comes first. */
typedef struct connection {
    server *server;
    int fd;
    bool listed;
    int64_t last_heard; /* when the client was, milliseconds */
    struct connection *previous, *next;
} connection;

/* One request, from its first line to the end of its answer. */
typedef struct request {
    server *server;
    struct MHD_Connection *mhd;
    connection *connection;
    char *target; /* as sent: libmicrohttpd decodes the path, and cuts it at %00 */
    char *body;
    size_t length, capacity; /* how much of the body is kept, in memory or in its file */
    char *spool;             /* the file that takes the body, or NULL: memory does */
    int spool_fd;
    int spool_error;    /* an errno: the file cannot be written */
    decoder *decoder;   /* of a body that is encoded, or NULL */
    const char *damage; /* why it cannot be decoded, or NULL */
    bool opened;        /* the handler was shown its headers */
    bool dropped;       /* nothing of the body is kept: nobody wants it, or what follows is true */
    bool too_large;     /* the body is larger than is kept, and the rest is thrown away */
    bool crowded;       /* the bodies of all requests are, together, as large as is kept */
    bool at_once;       /* it is answered before its body has come */
    bool asked;         /* the handler was asked for the answer */
    bool registered;    /* its table is in the registry of the handler's state, by its address */
    size_t counted;     /* how many bytes of it count among the bodies of all */
    struct request **reply;  /* where Lua knows it, to answer it later, or NULL */
    int64_t received, limit; /* bytes of the body; at how many the connection is dropped, or -1 */
    unsigned int status;
    struct MHD_Response *response; /* the answer, once there is one */
    struct {
        bool chosen; /* instead of a response come these bytes, which no API could send, */
        char *bytes;
        size_t length, sent, piece; /* so many at a time, */
        int64_t every;              /* with so many milliseconds in between, and then the end */
    } raw;
    int64_t due;    /* when the answer may go out, milliseconds; WHEN_ANSWERED */
    bool suspended; /* until then, in the list of the server */
    struct request *previous, *next;
} request;

struct server {
    lua_State *L; /* the handler's: the thread's own state, or a coroutine of the caller's */
    bool has_thread;
    bool turning;  /* a function of the caller's may be running */
    char name[32]; /* begins what is said on stderr */
    struct MHD_Daemon *daemon;
    pid_t process; /* that has started it, and not a child it forked */
    int listener, wake;
    int hangups;       /* an epoll descriptor: tells which clients have closed */
    int events, timer; /* without a thread: what the caller polls, and a part of it */
    char *path;        /* of the socket that the server has made, or NULL; which file it is */
    dev_t device;
    ino_t inode;
    struct pollfd polled[POLLED];
    connection *quietest, *liveliest;
    uint64_t changes; /* how many connections were opened and closed */
    uint16_t port;
    size_t max_memory;         /* bytes of a body that are kept in memory */
    size_t max_file;           /* and in a file */
    size_t requests;           /* from their first lines to the ends of their answers */
    size_t max_bodies, bodies; /* bytes of all bodies in memory: as many as are kept, and are */
    request *suspended;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards the mailbox: what another thread tells this one */
    pthread_cond_t delivered;
    const char *message; /* NULL: there is none, or it was delivered */
    size_t message_length;
    atomic_bool stopping; /* set by the other thread, which wakes this one afterwards */
};

static inline int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- connection.c --- */

/* MHD_OPTION_NOTIFY_CONNECTION */
void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                   enum MHD_ConnectionNotificationCode code);

/* Notes that the client was heard of, and that the server waits for more of it. */
void connection_listen(connection *c);

/* Notes that it is the client now who waits. */
void connection_unlist(connection *c);

/* Tells libmicrohttpd of clients that have closed. */
void note_hangups(server *s);

/* Called when somebody knocks whom libmicrohttpd does not let in, because it has all the
 * connections or descriptors there may be: closes the connection whose client has been quiet for
 * the longest time. Returns in how many milliseconds it will have been quiet for long enough, or
 * -1. */
int64_t make_room(server *s);

/* --- request.c --- */

/* MHD_OPTION_URI_LOG_CALLBACK: makes the request. */
void *on_target(void *user, const char *target, struct MHD_Connection *mhd);

/* The access handler. */
enum MHD_Result on_request(void *user, struct MHD_Connection *mhd, const char *url,
                           const char *method, const char *version, const char *bytes, size_t *size,
                           void **state);

/* MHD_OPTION_NOTIFY_COMPLETED: frees the request. */
void on_completed(void *user, struct MHD_Connection *mhd, void **state,
                  enum MHD_RequestTerminationCode code);

/* Resumes the requests that are due; `all`: every one. Returns in how many milliseconds there is
 * something to do: 0 when one was resumed, which libmicrohttpd does not say by its timeout; -1:
 * there is nothing. */
int64_t resume_due(server *s, bool all);

/* Has a suspended request answered in the next turn. */
void answer_now(request *r);

/* --- decode.c --- */

/* A decoder of a content coding; NULL with `*why` set, which is NULL where there is no memory. */
decoder *decoder_new(const char *coding, const char **why);

/* Decodes bytes into pieces for `take`, which says whether it wants more. NULL, or why it cannot be
 * decoded. */
const char *decoder_feed(decoder *d, const char *bytes, size_t size,
                         bool (*take)(void *user, const char *piece, size_t size), void *user);

/* NULL, or why what was decoded is not whole. */
const char *decoder_end(const decoder *d);

void decoder_free(decoder *d);

/* Pushes a list of the codings that were built in. */
void push_codings(lua_State *L);

/* --- listen.c --- */

/* Where a server listens: on an address in numbers, on a socket in the file system, or on a
 * descriptor that whoever started the program has bound. */
typedef struct {
    const char *address, *path;
    lua_Integer port, descriptor; /* -1: none */
    bool beyond;                  /* whether other machines may reach it */
} place;

/* Listens. NULL, or why it cannot. */
const char *listen_at(server *s, const place *where);

/* Listens no more; the socket's file goes. */
void close_listener(server *s);

/* --- handler.c --- */

/* What the stack of the handler's state has below what is called: the functions that are called
 * with a request whose headers are there, with one that is there as a whole, and with a message. */
enum { ON_OPEN = 1, ON_REQUEST, ON_MESSAGE };

/* Where the handler's module is looked for, what it is called, and what it is called with. */
typedef struct {
    const char *path, *cpath, *module, *settings;
} handler_source;

/* Calls into the handler's state. Each gives NULL, or why it failed, which holds until that state
 * is entered again. */
const char *handler_load(server *s, handler_source *source);

/* Shows the handler a request whose headers are there. */
const char *handler_open(request *r, const char *method, const char *version);

/* Asks the handler to answer a request that is there as a whole. */
const char *handler_answer(request *r, const char *method, const char *version);

/* Hands the posted message to the handler. */
const char *handler_deliver(server *s);

/* Forgets a request that is over. */
void handler_forget(request *r);

/* --- respond.c --- */

/* Gives the request its response, or its raw bytes, of a status, a table of headers and a body at
 * 1, 2 and 3. Raises. */
void respond(lua_State *L, request *r);

/* Responds when the handler has failed. False: there is no memory. */
bool respond_500(request *r, const char *why);

/* Responds when the server ends before there is an answer. False: there is no memory. */
bool respond_503(request *r);

/* Writes the next piece of the raw bytes. False: there is no more. */
bool send_raw(request *r);

/* --- reply.c --- */

/* Makes the kind of userdata by which Lua answers later. */
void open_replies(lua_State *L);

/* Pushes that of a request. Raises. */
void push_reply(lua_State *L, request *r);

/* Lua knows the request no more. */
void forget_reply(request *r);

/* --- turn.c --- */

/* Lets libmicrohttpd work once `polled` was polled. Returns in how many milliseconds it is to work
 * again. */
int server_work(server *s);

/* Fills `polled`. */
void watch_daemon(server *s);

/* Makes the descriptor that the caller's loop polls. False with errno set. */
bool watch_events(server *s);

/* Without a thread: lets all work that can be done at once, and arms the descriptor. */
void turn_once(server *s);

/* Answers what is under way: libmicrohttpd cannot stop while connections are suspended. */
void finish_requests(server *s);

/* Wakes whoever polls. */
void wake_server(server *s);

/* --- thread.c --- */

/* Starts the thread. Returns an errno. */
int thread_start(server *s);

/* Hands a message to the handler, and returns once the handler has had it. */
void thread_post(server *s, const char *message, size_t length);

/* Ends the thread and waits for its end. */
void thread_stop(server *s);

#endif
