/*** URLs and header lines: what may go into them, and how.
 * @module catalog.core.url */
#include "url.h"

#include "failure.h"
#include "handle.h"
#include "memory.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <lauxlib.h>
#include <string.h>

#define PARSED "catalog.url"

#define ENCODE "is there a /, a ? or a # in the password, which are written %2F, %3F and %23?"

bool cat_url_printable(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

bool cat_url_segment_fits(const char *text) {
    return *text != '\0' && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

/* RFC 3986, 2.3: the characters that never need encoding. */
static bool unreserved(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("-._~", c) != NULL;
}

static void add_encoded(luaL_Buffer *out, const char *text, size_t length) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c && unreserved(c)) {
            luaL_addchar(out, (char)c);
        } else {
            luaL_addchar(out, '%');
            luaL_addchar(out, digits[c >> 4]);
            luaL_addchar(out, digits[c & 15]);
        }
    }
}

/*** Percent-encodes a text for a query or a form.
 * @function encode
 * @tparam string text any bytes
 * @treturn string the text with all but letters, digits and `-._~` encoded */
static int url_encode(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    add_encoded(&out, text, length);
    luaL_pushresult(&out);
    return 1;
}

/*** Percent-encodes one segment of a path.
 * @function segment
 * @tparam string text the id or name; may hold any character, a slash is encoded too
 * @tparam string what what it is, for the message: `batch id`
 * @treturn[1] string
 * @treturn[2] nil
 * @treturn[2] table error of kind `data`: empty, `.` or `..`, which a server would take as a step
 * in the path */
static int url_segment(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    const char *what = luaL_checkstring(L, 2);
    if (!cat_url_segment_fits(text)) {
        return cat_failure(L, "data", "'%s' cannot be used as a %s", text, what);
    }
    return url_encode(L);
}

/*** Percent-encodes a path, segment by segment.
 * @function path
 * @tparam string text segments with slashes between them
 * @treturn ?string nil: a segment is empty, `.` or `..`, which a server would take as a step in the
 * path */
static int url_path(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length), *end = text + length;
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (const char *slash; text; text = slash ? slash + 1 : NULL) {
        slash = memchr(text, '/', (size_t)(end - text));
        size_t size = (size_t)((slash ? slash : end) - text);
        if (size == 0 || (size <= 2 && memcmp(text, "..", size) == 0)) {
            lua_pushnil(L);
            return 1;
        }
        add_encoded(&out, text, size);
        if (slash) {
            luaL_addchar(&out, '/');
        }
    }
    luaL_pushresult(&out);
    return 1;
}

/*** One header line.
 * @function header
 * @tparam string name the header
 * @tparam string value its value
 * @tparam string what what the value is to the caller, for the message: `token`
 * @treturn[1] string `name: value`
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`, without the value: it has control characters, such as a
 * newline, with which other headers could be slipped in, or it is empty */
static int url_header(lua_State *L) {
    size_t length;
    const char *name = luaL_checkstring(L, 1);
    const char *value = luaL_checklstring(L, 2, &length);
    const char *what = luaL_checkstring(L, 3);
    if (length == 0) {
        return cat_failure(L, "config", "%s is empty", what);
    }
    if (!cat_url_printable(value, length)) {
        return cat_failure(L, "config",
                           "%s has a newline or another control character in it, which cannot be "
                           "sent; was it read from a file with its last newline?",
                           what);
    }
    lua_pushfstring(L, "%s: %s", name, value);
    return 1;
}

/*** A date as headers have it.
 * @function date
 * @tparam string text in any form HTTP knows (RFC 9110, 5.6.7)
 * @treturn ?integer seconds since the epoch; nil when it is none */
static int url_date(lua_State *L) {
    time_t at = curl_getdate(luaL_checkstring(L, 1), NULL);
    if (at == -1) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, (lua_Integer)at);
    }
    return 1;
}

/* A parsed URL, owned by a userdata so that an error in between cannot leak it or its parts. */
typedef struct {
    CURLU *url;
    char *scheme, *host, *port, *whole;
} parsed;

static int parsed_gc(lua_State *L) {
    parsed *p = lua_touserdata(L, 1);
    curl_free(p->scheme);
    curl_free(p->host);
    curl_free(p->port);
    curl_free(p->whole);
    curl_url_cleanup(p->url);
    memset(p, 0, sizeof *p);
    return 0;
}

static parsed *push_parsed(lua_State *L) {
    parsed *p = lua_newuserdatauv(L, sizeof *p, 0);
    memset(p, 0, sizeof *p);
    luaL_setmetatable(L, PARSED);
    lua_toclose(L, -1);
    p->url = curl_url();
    return p;
}

/* Parses a text: scheme, host, the port if there is one, and the whole URL. */
static CURLUcode parse(parsed *p, const char *text, unsigned flags) {
    const struct {
        CURLUPart part;
        char **text;
    } parts[] = {{CURLUPART_SCHEME, &p->scheme},
                 {CURLUPART_HOST, &p->host},
                 {CURLUPART_PORT, &p->port},
                 {CURLUPART_URL, &p->whole}};
    CURLUcode code =
        p->url ? curl_url_set(p->url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | flags)
               : CURLUE_OUT_OF_MEMORY;
    for (size_t i = 0; code == CURLUE_OK && i < sizeof parts / sizeof *parts; i++) {
        code = curl_url_get(p->url, parts[i].part, parts[i].text, 0);
        code = code == CURLUE_NO_PORT ? CURLUE_OK : code;
    }
    return code == CURLUE_OK && p->host[0] == '\0' ? CURLUE_NO_HOST : code;
}

static bool has_part(lua_State *L, CURLU *url, CURLUPart part) {
    char *text = NULL;
    CURLUcode code = curl_url_get(url, part, &text, 0);
    curl_free(text);
    if (code == CURLUE_OUT_OF_MEMORY) {
        cat_oom(L);
    }
    return code == CURLUE_OK;
}

bool cat_url_loopback(const char *host) {
    struct in_addr address;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

/* Why a parsed base URL cannot be used, or NULL. */
static const char *base_fault(lua_State *L, const parsed *p, bool insecure) {
    if (strcmp(p->scheme, "https") != 0 && strcmp(p->scheme, "http") != 0) {
        return "its scheme is neither https nor http";
    }
    if (!cat_url_printable(p->whole, strlen(p->whole))) {
        return "it has an encoded control character in its host";
    }
    if (has_part(L, p->url, CURLUPART_USER) || has_part(L, p->url, CURLUPART_PASSWORD)) {
        return "it holds a user name or a password; credentials have options of their own";
    }
    if (has_part(L, p->url, CURLUPART_QUERY) || has_part(L, p->url, CURLUPART_FRAGMENT)) {
        return "it has a query or a fragment";
    }
    if (strcmp(p->scheme, "http") == 0 && !cat_url_loopback(p->host) && !insecure) {
        return "plain http would send the token unencrypted; use https (or say insecure = true)";
    }
    return NULL;
}

/*** Checks the URL of a service.
 * @function base
 * @tparam string text `https://platform.adobe.io`; a path is allowed
 * @tparam string name the option, for the message: `base_url`
 * @tparam boolean insecure plain http is allowed for any host, not only for loopback
 * @treturn[1] string the URL without its last slash
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
static int url_base(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    const char *name = luaL_checkstring(L, 2);
    bool insecure = lua_toboolean(L, 3);
    if (!cat_url_printable(text, length) || strlen(text) != length) {
        return cat_failure(L, "config", "%s has a control character in it", name);
    }
    parsed *p = push_parsed(L);
    CURLUcode code = parse(p, text, 0);
    if (code == CURLUE_OUT_OF_MEMORY) {
        return cat_oom(L);
    }
    /* No URL in these messages: a text that is no URL may hold a password all the same. */
    if (code != CURLUE_OK) {
        return cat_failure(L, "config", "%s is not a URL such as https://platform.adobe.io (%s)",
                           name, curl_url_strerror(code));
    }
    const char *fault = base_fault(L, p, insecure);
    if (fault) {
        return cat_failure(L, "config", "%s cannot be used: %s", name, fault);
    }
    size_t used = strlen(p->whole);
    while (used > 0 && p->whole[used - 1] == '/') {
        used--;
    }
    lua_pushlstring(L, p->whole, used);
    return 1;
}

/* Why a parsed proxy cannot be used, or NULL. What follows the host may be part of a password. */
static const char *proxy_fault(lua_State *L, const parsed *p) {
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    const char *path = strchr(strstr(p->whole, "://") + 3, '/');
    bool more = has_part(L, p->url, CURLUPART_QUERY) || has_part(L, p->url, CURLUPART_FRAGMENT);
    if (more || (path && path[1])) {
        return "it has something behind the host and the port; " ENCODE;
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strcmp(p->scheme, schemes[i]) == 0) {
            return NULL;
        }
    }
    return "its scheme is none of http, https, socks4, socks4a, socks5 and socks5h";
}

/* Whether what may be a password ends the host: the last @ is behind a /, a ? or a #. */
static bool hides_password(const char *text) {
    const char *scheme = strstr(text, "://");
    const char *end = strpbrk(scheme ? scheme + 3 : text, "/?#");
    return end && strchr(end, '@');
}

int cat_url_proxy(lua_State *L, int index, const char *name) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    if (!cat_url_printable(text, length)) {
        return cat_failure(L, "config", "%s has a control character in it", name);
    }
    parsed *p = push_parsed(L);
    CURLUcode code = parse(p, text, CURLU_GUESS_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY) {
        return cat_oom(L);
    }
    if (code != CURLUE_OK) {
        return cat_failure(L, "config", "%s is not a URL such as http://127.0.0.1:3128 (%s)%s",
                           name, curl_url_strerror(code), hides_password(text) ? "; " ENCODE : "");
    }
    const char *fault = proxy_fault(L, p);
    if (fault) {
        return cat_failure(L, "config", "%s cannot be used: %s", name, fault);
    }
    lua_pushfstring(L, "%s://%s%s%s", p->scheme, p->host, p->port ? ":" : "",
                    p->port ? p->port : "");
    lua_closeslot(L, -2); /* where a caller pops it Lua 5.4.4 may lose the stack */
    return 1;
}

int cat_url_open(lua_State *L) {
    static const luaL_Reg events[] = {{"__gc", parsed_gc}, {"__close", parsed_gc}, {NULL, NULL}};
    cat_handle(L, PARSED, events, NULL);
    static const luaL_Reg functions[] = {{"encode", url_encode},
                                         {"segment", url_segment},
                                         {"path", url_path},
                                         {"header", url_header},
                                         {"date", url_date},
                                         {"base", url_base},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
