/* Easy handles, pooled. */
#include "easy.h"

#include "memory.h"
#include "setopt.h"

#include <string.h>

/* Handles kept for the next transfers, and how large a reply buffer is kept with one, bytes. */
#define MAX_IDLE        64
#define MAX_IDLE_BUFFER 16384

/* A handle that has uploaded has a large buffer, so fewer are kept. */
#define MAX_IDLE_UPLOADS 8

/* How long a connection may have been idle and counts as just used, seconds; libcurl 7.88 counts
 * whole seconds, which makes it less than two. Whoever closes idle connections on the way waits
 * longer: servers, proxies and load balancers have defaults from 5 seconds to some minutes. */
#define RECENT 1L

/* libcurl's default, seconds. */
#define ANY 118L

/* CURLOPT_PREREQFUNCTION: a connection is there and the request is about to go out. libcurl sends
 * again by itself when a reused connection dies before the first byte of an answer, and by then the
 * server may have done the work: a creation would happen twice. And of an upload libcurl 7.88 sends
 * the headers again, but not the body, and then stands still. */
static int before_request(void *user, char *remote, char *local, int remote_port, int local_port) {
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    cat_easy *easy = user;
    return ++easy->sends == 1 || easy->resendable ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static void free_easy(cat_easy_pool *pool, cat_easy *easy) {
    curl_easy_cleanup(easy->op.easy);
    curl_url_cleanup(easy->url);
    cat_resize(pool->L, easy->url_text, easy->url_capacity, 0);
    cat_sink_free(&easy->sink);
    cat_resize(pool->L, easy, sizeof *easy, 0);
}

/* Sets those options of the handle that point into `easy`. */
static CURLcode set_pointers(cat_easy *easy) {
    CURL *handle = easy->op.easy;
    CURLcode code = cat_sink_attach(handle, &easy->sink);
    cat_easy_setopt(&code, handle, CURLOPT_OPENSOCKETFUNCTION, cat_multi_open_socket);
    cat_easy_setopt(&code, handle, CURLOPT_OPENSOCKETDATA, &easy->op);
    cat_easy_setopt(&code, handle, CURLOPT_ERRORBUFFER, easy->detail);
    cat_easy_setopt(&code, handle, CURLOPT_PRIVATE, (void *)&easy->op);
    cat_easy_setopt(&code, handle, CURLOPT_PREREQFUNCTION, before_request);
    cat_easy_setopt(&code, handle, CURLOPT_PREREQDATA, easy);
    return code;
}

static cat_easy *make_easy(cat_easy_pool *pool) {
    cat_easy *easy = cat_resize(pool->L, NULL, 0, sizeof *easy);
    if (!easy) {
        return NULL;
    }
    memset(easy, 0, sizeof *easy);
    easy->sink.L = pool->L;
    easy->sink.max_bytes = pool->max_reply;
    easy->op.owner = pool;
    easy->multi = pool->multi;
    easy->op.easy = curl_easy_duphandle(pool->template_easy);
    if (!easy->op.easy || set_pointers(easy) != CURLE_OK) {
        free_easy(pool, easy);
        return NULL;
    }
    return easy;
}

cat_easy *cat_easy_acquire(cat_easy_pool *pool) {
    cat_easy *easy = pool->idle;
    if (!easy) {
        return make_easy(pool);
    }
    pool->idle = easy->next;
    pool->idle_count--;
    easy->sends = 0;
    easy->detail[0] = '\0';
    cat_sink_reset(&easy->sink);
    if (pool->checks_first_header && cat_sink_check_first_header(&easy->sink) != CURLE_OK) {
        free_easy(pool, easy);
        return NULL;
    }
    return easy;
}

/* Keeps the text of a URL. */
static bool keep_url(cat_easy_pool *pool, cat_easy *easy, const char *text, size_t size) {
    if (size > easy->url_capacity) {
        char *grown = cat_resize(pool->L, easy->url_text, easy->url_capacity, size);
        if (!grown) {
            return false;
        }
        easy->url_text = grown;
        easy->url_capacity = size;
    }
    memcpy(easy->url_text, text, size);
    return true;
}

/* Has a handle go by the proxy that its URL needs. */
static CURLcode set_proxy(const cat_easy_pool *pool, cat_easy *easy) {
    const cat_proxy *proxy;
    CURLcode code = cat_proxies_choose(&pool->proxies, easy->url, &proxy);
    if (proxy == easy->proxy) {
        return code;
    }
    cat_easy_setopt(&code, easy->op.easy, CURLOPT_PROXY, proxy ? proxy->url : "");
    easy->proxy = code == CURLE_OK ? proxy : easy->proxy;
    return code;
}

/* Before 8.3.0 an exchange loses the zone of an address (fe80::1%25eth0) in a URL that is parsed
 * already. */
static bool has_zone(CURLU *url) {
    char *zone = NULL;
    CURLUcode code = curl_url_get(url, CURLUPART_ZONEID, &zone, 0);
    curl_free(zone);
    return code != CURLUE_NO_ZONEID;
}

/* What is not in a plain path: what is encoded, what ends it, and what no URL has. */
static const bool not_plain[256] = {
    [0 ... ' '] = true, ['%'] = true, ['?'] = true, ['#'] = true, [0x7f ... 0xff] = true};

/* Where the path of a URL begins, if it is plain, and the last that there is. 0 for others. */
static size_t plain_path(const char *text) {
    const char *host = strstr(text, "://"), *path = host ? strchr(host + 3, '/') : NULL;
    const unsigned char *at = (const unsigned char *)text;
    while (!not_plain[*at]) {
        at++;
    }
    return path && *at == '\0' ? (size_t)(path - text) : 0;
}

/* Has the parsed URL of a handle be that of the text: it differs in the path alone, mostly. */
static CURLUcode parse(cat_easy *easy, const char *text) {
    size_t path = plain_path(text), before = easy->url_path;
    bool same_place = path > 0 && path == before && memcmp(text, easy->url_text, path) == 0;
    easy->url_path = path;
    return same_place ? curl_url_set(easy->url, CURLUPART_PATH, text + path, 0)
                      : curl_url_set(easy->url, CURLUPART_URL, text, CURLU_PATH_AS_IS);
}

CURLcode cat_easy_set_url(cat_easy_pool *pool, cat_easy *easy, const char *text) {
    size_t size = strlen(text) + 1;
    if (size == easy->url_size && memcmp(text, easy->url_text, size) == 0) {
        return CURLE_OK;
    }
    easy->url = easy->url ? easy->url : curl_url();
    if (!easy->url) {
        return CURLE_OUT_OF_MEMORY;
    }
    easy->url_size = 0;
    CURLUcode parsed = parse(easy, text);
    CURLcode code = parsed == CURLUE_OUT_OF_MEMORY     ? CURLE_OUT_OF_MEMORY
                    : parsed != CURLUE_OK              ? CURLE_URL_MALFORMAT
                    : keep_url(pool, easy, text, size) ? CURLE_OK
                                                       : CURLE_OUT_OF_MEMORY;
    cat_easy_setopt(&code, easy->op.easy, CURLOPT_CURLU, has_zone(easy->url) ? NULL : easy->url);
    /* Older versions would make the text anew, or keep that of the URL before; newer ones forget it
     * where CURLOPT_CURLU is set, so it comes last. */
    cat_easy_setopt(&code, easy->op.easy, CURLOPT_URL, text);
    code = code == CURLE_OK ? set_proxy(pool, easy) : code;
    if (code == CURLE_OK) {
        easy->url_size = size;
    } else {
        easy->url_path = 0;
    }
    return code;
}

CURLcode cat_easy_set_reuse(cat_easy *easy, cat_reuse reuse) {
    if (easy->reuse == reuse) {
        return CURLE_OK;
    }
    CURLcode code = CURLE_OK;
    cat_easy_setopt(&code, easy->op.easy, CURLOPT_MAXAGE_CONN,
                    reuse == CAT_REUSE_RECENT ? RECENT : ANY);
    cat_easy_setopt(&code, easy->op.easy, CURLOPT_FRESH_CONNECT, reuse == CAT_REUSE_NONE ? 1L : 0L);
    if (code == CURLE_OK) {
        easy->reuse = reuse;
    }
    return code;
}

void cat_easy_release(cat_easy_pool *pool, cat_easy *easy) {
    size_t max = easy->source.kind >= CAT_SOURCE_MEMORY ? MAX_IDLE_UPLOADS : MAX_IDLE;
    /* The headers of a proxy's own answer, to CONNECT, cannot be looked at. */
    bool unsafe_to_reuse = pool->checks_first_header && easy->proxy;
    bool usable = pool->template_easy && easy->multi == pool->multi;
    if (!usable || unsafe_to_reuse || pool->idle_count >= max) {
        free_easy(pool, easy);
        return;
    }
    if (easy->sink.capacity > MAX_IDLE_BUFFER) {
        cat_sink_free(&easy->sink);
    }
    easy->next = pool->idle;
    pool->idle = easy;
    pool->idle_count++;
}

static void free_idle(cat_easy_pool *pool) {
    for (cat_easy *easy; (easy = pool->idle);) {
        pool->idle = easy->next;
        free_easy(pool, easy);
    }
    pool->idle_count = 0;
}

/* Before 8.1.0 an easy handle keeps a pointer to the last header of its last reply, whose memory is
 * gone. A server whose next reply begins with a blank would have it written to. */
static bool remembers_headers(void) {
    return curl_version_info(CURLVERSION_NOW)->version_num < 0x080100;
}

void cat_easy_pool_init(cat_easy_pool *pool, lua_State *L) {
    *pool = (cat_easy_pool){.L = L, .checks_first_header = remembers_headers()};
}

/* A connection outlives the transfers that use it, so that its end is the multi's to know. */
CURLcode cat_easy_pool_bind(cat_easy_pool *pool, cat_multi *multi) {
    CURLcode code = CURLE_OK;
    if (pool->template_easy) {
        cat_easy_setopt(&code, pool->template_easy, CURLOPT_CLOSESOCKETFUNCTION,
                        cat_multi_close_socket);
        cat_easy_setopt(&code, pool->template_easy, CURLOPT_CLOSESOCKETDATA, multi);
    }
    if (code == CURLE_OK) {
        pool->multi = multi;
        free_idle(pool);
    }
    return code;
}

void cat_easy_pool_close(cat_easy_pool *pool) {
    if (pool->template_easy) {
        cat_multi_cancel(pool->multi, pool);
    }
    free_idle(pool);
    curl_easy_cleanup(pool->template_easy);
    pool->template_easy = NULL;
}
