/* A program that embeds Lua, for what a script cannot do to the module it runs in.
 *
 *   host allocations SCRIPT ARG...   every Lua allocation of the script's act() failing in turn
 *   host curl SCRIPT ARG...          and every one of libcurl's
 *   host once SCRIPT ARG...          the script's act(), for valgrind to look at
 *   host threads COUNT SCRIPT ARG... the script on COUNT threads at once, each with its own state
 *   host order SCRIPT ARG...         act(), with what is written to journals, synced and sent
 *   host lookup SCRIPT ARG...        lua_close while a name is being looked up at a DNS that says
 * nothing
 *
 * A script returns a function that sets up and returns act(), which returns true when all is well.
 * Prints `ok ...` and exits 0, or says what is wrong and exits 1. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <dirent.h>
#include <dlfcn.h>
#include <lauxlib.h>
#include <lualib.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- an allocator that fails --- */

typedef struct {
    size_t held;    /* bytes */
    long countdown; /* allocations that still succeed; negative: not counting */
    bool for_good;  /* once one has failed, all fail */
    bool failed;
} heap;

static bool refuses(heap *h) {
    if (h->countdown < 0) {
        return h->failed && h->for_good;
    }
    if (h->countdown-- > 0) {
        return false;
    }
    h->failed = true;
    return true;
}

static void *allocate(void *user, void *block, size_t old, size_t size) {
    heap *h = user;
    old = block ? old : 0; /* without a block it is a type, not a size */
    if (size == 0) {
        free(block);
        h->held -= old;
        return NULL;
    }
    if (size > old && refuses(h)) {
        return NULL;
    }
    void *moved = realloc(block, size);
    if (moved) {
        h->held += size - old;
    }
    return moved;
}

/* --- libcurl's, which knows no sizes, and asks from a resolver's thread too --- */

static heap curl_heap;          /* `held` counts nothing */
static atomic_long curl_blocks; /* so many are held */
static pthread_mutex_t curl_lock = PTHREAD_MUTEX_INITIALIZER;

static void *count_block(void *block) {
    curl_blocks += block != NULL;
    return block;
}

static bool curl_refuses(void) {
    pthread_mutex_lock(&curl_lock);
    bool refused = refuses(&curl_heap);
    pthread_mutex_unlock(&curl_lock);
    return refused;
}

static void *curl_malloc(size_t size) {
    return curl_refuses() ? NULL : count_block(malloc(size));
}

static void *curl_calloc(size_t count, size_t size) {
    return curl_refuses() ? NULL : count_block(calloc(count, size));
}

static char *curl_strdup(const char *text) {
    return curl_refuses() ? NULL : count_block(strdup(text));
}

static void *curl_realloc(void *block, size_t size) {
    if (curl_refuses()) {
        return NULL;
    }
    return block ? realloc(block, size) : count_block(malloc(size));
}

static void curl_release(void *block) {
    curl_blocks -= block != NULL;
    free(block);
}

/* --- scripts --- */

static int arguments; /* how many, and which, the script gets */
static char **argument;

/* Keeps a library mapped, so that a sanitizer can name it in a report made after lua_close. */
static int pin(lua_State *L) {
    lua_pushboolean(L, dlopen(luaL_checkstring(L, 1), RTLD_NOW | RTLD_NODELETE) != NULL);
    return 1;
}

/* fork(): 0 in the child. */
static int fork_process(lua_State *L) {
    fflush(NULL);
    lua_pushinteger(L, fork());
    return 1;
}

/* wait_for(child): its exit status. */
static int wait_for(lua_State *L) {
    int status = -1;
    waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return 1;
}

/* leave(): ends a child, with its copy of the state. What it must not touch of its parent's it
 * leaks, which is not for a sanitizer to report. */
static int leave(lua_State *L) {
    fflush(NULL);
    lua_close(L);
    _exit(0);
}

/* Leaves act() on the stack, or a message and false. */
static bool set_up(lua_State *L) {
    luaL_openlibs(L);
    lua_pushcfunction(L, pin);
    lua_setglobal(L, "pin");
    lua_register(L, "fork", fork_process);
    lua_register(L, "wait_for", wait_for);
    lua_register(L, "leave", leave);
    if (luaL_loadfile(L, argument[0]) != LUA_OK || lua_pcall(L, 0, 1, 0) != LUA_OK) {
        return false;
    }
    for (int i = 1; i < arguments; i++) {
        lua_pushstring(L, argument[i]);
    }
    return lua_pcall(L, arguments - 1, 1, 0) == LUA_OK;
}

/* What a defect raises, and where. */
static int trace(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) {
        luaL_traceback(L, L, lua_tostring(L, 1), 1);
    }
    return 1;
}

/* Calls act(), which stays on the stack below what it gave. True when it gave true. */
static bool act(lua_State *L) {
    lua_settop(L, 1);
    lua_pushcfunction(L, trace);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 0, 2, 2);
    lua_remove(L, 2);
    return status == LUA_OK && lua_isboolean(L, 2) && lua_toboolean(L, 2);
}

static int complain(lua_State *L, const char *what, long number) {
    const char *said = luaL_tolstring(L, -1, NULL);
    fprintf(stderr, "%s (allocation %ld): %s\n", what, number, said);
    return 1;
}

/* --- every allocation failing in turn --- */

/* Which allocations fail, and what is held after a state has ended. */
typedef struct {
    heap *h;
    lua_State *(*open)(heap *h);
    long (*held)(void);
} failing;

static heap lua_heap;

static lua_State *open_failing(heap *h) {
#if LUA_VERSION_NUM >= 505
    return lua_newstate(allocate, h, 1);
#else
    return lua_newstate(allocate, h);
#endif
}

static long lua_held(void) {
    return (long)lua_heap.held;
}

static lua_State *open_sound(heap *h) {
    (void)h;
    return luaL_newstate();
}

static long curl_held(void) {
    return curl_blocks;
}

/* Whether all is freed but what was held before. A thread of libcurl that looks a name up is not
 * waited for when a state ends (CURLOPT_QUICK_EXIT), and frees what it has when it ends itself. */
static bool is_freed(const failing *f, long before) {
    for (int waited = 0; f->held() != before && waited < 5000; waited++) {
        usleep(1000);
    }
    return f->held() == before;
}

/* Lets allocation `number` of act() fail. Sets *reached when act() got that far. Returns 0 when all
 * is well. */
static int fail_at(const failing *f, long number, bool for_good, bool *reached) {
    int wrong = 0;
    long before = f->held();
    heap *h = f->h;
    h->countdown = -1;
    h->for_good = for_good;
    lua_State *L = f->open(h);
    if (!L || !set_up(L)) {
        return complain(L, "set-up failed", 0);
    }
    h->countdown = number;
    bool good = act(L);
    *reached = h->failed;
    h->failed = false;
    h->countdown = -1;
    if (!good && !*reached) {
        wrong = complain(L, "it fails without a reason", number);
    } else if (!act(L)) {
        wrong = complain(L, "it does not recover", number);
    }
    lua_close(L);
    if (!is_freed(f, before)) {
        fprintf(stderr, "allocation %ld: %ld were never freed\n", number, f->held() - before);
        wrong = 1;
    }
    return wrong;
}

static int fail_in_turn(const failing *f) {
    for (int for_good = 0; for_good <= 1; for_good++) {
        bool reached = true;
        long number = 0;
        for (; reached; number++) {
            if (fail_at(f, number, for_good, &reached) != 0) {
                return 1;
            }
        }
        printf("ok %ld allocations failed %s\n", number - 1, for_good ? "for good" : "once");
    }
    return 0;
}

static int run_allocations(void) {
    return fail_in_turn(&(failing){.h = &lua_heap, .open = open_failing, .held = lua_held});
}

static int run_curl(void) {
    curl_heap.countdown = -1;
    if (curl_global_init_mem(CURL_GLOBAL_ALL, curl_malloc, curl_release, curl_realloc, curl_strdup,
                             curl_calloc) != CURLE_OK) {
        return 1;
    }
    return fail_in_turn(&(failing){.h = &curl_heap, .open = open_sound, .held = curl_held});
}

static int run_once(void) {
    lua_State *L = luaL_newstate();
    if (!L || !set_up(L) || !act(L)) {
        return complain(L, "it failed", 0);
    }
    lua_close(L);
    printf("ok once\n");
    return 0;
}

/* --- threads --- */

static void *run_thread(void *wrong) {
    lua_State *L = luaL_newstate();
    if (!L || !set_up(L) || !act(L)) {
        *(int *)wrong = complain(L, "a thread failed", 0);
    }
    lua_close(L);
    return NULL;
}

static int run_threads(int count) {
    pthread_t threads[64];
    int wrong[64] = {0}, all = 0;
    count = count < 64 ? count : 64;
    for (int i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run_thread, &wrong[i]) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        all |= wrong[i];
    }
    if (!all) {
        printf("ok %d threads\n", count);
    }
    return all;
}

/* --- a DNS that says nothing --- */

static struct sockaddr_in silent; /* port 0: the system's own servers are asked */

/* Stands before the C library's, for libcurl too: the thread that asks is pointed at the silent
 * server. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    union {
        void *address;
        int (*call)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    } next = {.address = dlsym(RTLD_NEXT, "getaddrinfo")};
    if (silent.sin_port && res_init() == 0) {
        _res.nscount = 1;
        _res.nsaddr_list[0] = silent;
        _res.retrans = _res.retry = 1; /* it gives up after a second */
    }
    return next.call(node, service, hints, result);
}

static int open_silent(void) {
    socklen_t length = sizeof silent;
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    silent = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 10};
    if (descriptor < 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        bind(descriptor, (struct sockaddr *)&silent, sizeof silent) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&silent, &length) != 0) {
        return -1;
    }
    return descriptor;
}

static int count_threads(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        count += task->d_name[0] != '.';
    }
    if (tasks) {
        closedir(tasks);
    }
    return count;
}

/* lua_close must not wait for the thread that asks; and when the thread returns from asking, later,
 * its code must still be there. */
static int run_lookup(void) {
    char question[512];
    int dns = open_silent();
    lua_State *L = luaL_newstate();
    if (dns < 0 || !L || !set_up(L)) {
        return complain(L, "set-up failed", 0);
    }
    int before = count_threads();
    if (!act(L) || recv(dns, question, sizeof question, 0) <= 0) {
        return complain(L, "no look-up was begun", 0);
    }
    lua_close(L);
    bool waited = count_threads() == before;
    while (count_threads() > before) {
        usleep(10000);
    }
    close(dns);
    printf(waited ? "lua_close waited for the look-up\n" : "ok the process lives on\n");
    return waited;
}

/* --- what is on disk before what is sent --- */

static bool shows_order; /* each line of a journal, each sync, and each request is printed */

/* These stand before the C library's, for the core and for libcurl. With 32 bits, pwrite is another
 * name for pwrite64. */
ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    union {
        void *address;
        ssize_t (*call)(int, const void *, size_t, off_t);
    } next = {.address = dlsym(RTLD_NEXT, sizeof(long) < sizeof offset ? "pwrite64" : "pwrite")};
    if (shows_order) {
        printf("write %.*s", (int)size, (const char *)bytes);
    }
    return next.call(descriptor, bytes, size, offset);
}

int fdatasync(int descriptor) {
    union {
        void *address;
        int (*call)(int);
    } next = {.address = dlsym(RTLD_NEXT, "fdatasync")};
    if (shows_order) {
        printf("sync\n");
    }
    return next.call(descriptor);
}

ssize_t send(int descriptor, const void *bytes, size_t size, int flags) {
    union {
        void *address;
        ssize_t (*call)(int, const void *, size_t, int);
    } next = {.address = dlsym(RTLD_NEXT, "send")};
    const char *line = memchr(bytes, '\r', size);
    if (shows_order && line) {
        printf("send %.*s\n", (int)(line - (const char *)bytes), (const char *)bytes);
    }
    return next.call(descriptor, bytes, size, flags);
}

static int run_order(void) {
    lua_State *L = luaL_newstate();
    shows_order = true;
    if (!L || !set_up(L) || !act(L)) {
        return complain(L, "it failed", 0);
    }
    shows_order = false;
    lua_close(L);
    return 0;
}

/* --- a forked child --- */

/* What the child does: it says what came of act(), and ends its copy of the state. */
static int run_child(lua_State *L) {
    printf("child: %s\n", act(L) ? "ok" : luaL_tolstring(L, -1, NULL));
    fflush(stdout);
    lua_close(L);
    return 0;
}

static int run_fork(void) {
    int status = 1;
    lua_State *L = luaL_newstate();
    if (!L || !set_up(L) || !act(L)) {
        return complain(L, "set-up failed", 0);
    }
    pid_t child = fork();
    if (child == 0) {
        _exit(run_child(L));
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        return complain(L, "the child failed", 0);
    }
    if (!act(L)) {
        return complain(L, "the parent cannot go on", 0);
    }
    lua_close(L);
    printf("ok the parent goes on\n");
    return 0;
}

/* Runs act() before a fork, in the parent while the child has copies of all descriptors, and after
 * the child has ended its copy of the state. */
static int run_copied(void) {
    int status = 1, go[2];
    char byte;
    lua_State *L = luaL_newstate();
    if (!L || !set_up(L) || !act(L) || pipe(go) != 0) {
        return complain(L, "set-up failed", 0);
    }
    pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        bool told = read(go[0], &byte, 1) == 0;
        lua_close(L);
        _exit(told ? 0 : 1);
    }
    bool fine = child > 0 && act(L);
    close(go[1]);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        return complain(L, "the child failed", status);
    }
    if (!fine || !act(L)) {
        return complain(L, fine ? "after the child's end" : "beside the child", 0);
    }
    close(go[0]);
    lua_close(L);
    printf("ok the child has harmed nothing\n");
    return 0;
}

int main(int count, char **words) {
    static const struct {
        const char *name;
        int (*run)(void);
    } modes[] = {{"allocations", run_allocations},
                 {"curl", run_curl},
                 {"once", run_once},
                 {"lookup", run_lookup},
                 {"fork", run_fork},
                 {"copied", run_copied},
                 {"order", run_order}};
    const char *what = count > 2 ? words[1] : "";
    if (strcmp(what, "threads") == 0 && count > 3) {
        argument = words + 3;
        arguments = count - 3;
        return run_threads(atoi(words[2]));
    }
    argument = words + 2;
    arguments = count - 2;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(what, modes[i].name) == 0) {
            return modes[i].run();
        }
    }
    fprintf(
        stderr,
        "usage: host allocations|curl|once|lookup|fork|copied|order SCRIPT ARG... | host threads "
        "COUNT SCRIPT ARG...\n");
    return 2;
}
