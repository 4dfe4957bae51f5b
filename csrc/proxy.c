/* The proxies of a client: that of its settings, or those of the environment. Which one a URL goes
 * by is decided here and not by libcurl, which does not say whether an exchange had one: who is to
 * blame for a fault depends on it, and which connections may be used again. */
#include "proxy.h"

#include "memory.h"
#include "url.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Where things are on the stack while the proxies are read. */
enum { AT_SETTINGS = 1, AT_OWNER, AT_KEPT };

/* --- hosts that are reached without --- */

typedef struct {
    int family;
    unsigned char bytes[16];
} address;

static bool read_address(const char *text, size_t length, address *read) {
    char copy[INET6_ADDRSTRLEN];
    if (length > 1 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    read->family = strchr(copy, ':') ? AF_INET6 : AF_INET;
    return inet_pton(read->family, copy, read->bytes) == 1;
}

/* Whether an entry is the address, or a network it is in: `10.0.0.0/8`. */
static bool names_address(const char *entry, size_t length, const address *host) {
    address named;
    const char *slash = memchr(entry, '/', length);
    unsigned long most = host->family == AF_INET6 ? 128 : 32, bits = most;
    if (slash) {
        char *end;
        bits = strtoul(slash + 1, &end, 10);
        if (end == slash + 1 || end != entry + length || bits > most) {
            return false;
        }
    }
    if (!read_address(entry, slash ? (size_t)(slash - entry) : length, &named) ||
        named.family != host->family) {
        return false;
    }
    size_t whole = bits / 8, rest = bits % 8;
    return memcmp(named.bytes, host->bytes, whole) == 0 &&
           (rest == 0 || (named.bytes[whole] ^ host->bytes[whole]) >> (8 - rest) == 0);
}

/* Whether an entry is the name, or a domain it is in, which may have a dot before it. */
static bool names_domain(const char *entry, size_t length, const char *host, size_t host_length) {
    if (length > 2 && strncmp(entry, "*.", 2) == 0) {
        entry++;
        length--;
    }
    if (length > 0 && entry[0] == '.') {
        entry++;
        length--;
    }
    if (length > 0 && entry[length - 1] == '.') {
        length--;
    }
    if (length == 0 || length > host_length) {
        return false;
    }
    const char *tail = host + host_length - length;
    return strncasecmp(tail, entry, length) == 0 && (tail == host || tail[-1] == '.');
}

/* Whether a list such as NO_PROXY has a host. */
static bool has_host(const char *list, const char *host) {
    static const char separators[] = ", \t";
    address numeric;
    size_t host_length = strlen(host);
    bool is_address = read_address(host, host_length, &numeric);
    if (host_length > 0 && host[host_length - 1] == '.') {
        host_length--;
    }
    for (;;) {
        list += strspn(list, separators);
        size_t length = strcspn(list, separators);
        if (length == 0) {
            return false;
        }
        if ((length == 1 && *list == '*') ||
            (is_address ? names_address(list, length, &numeric)
                        : names_domain(list, length, host, host_length))) {
            return true;
        }
        list += length;
    }
}

static bool is_exempt(const cat_proxies *proxies, const char *host) {
    return proxies->of_environment &&
           (cat_url_loopback(host) || (proxies->exceptions && has_host(proxies->exceptions, host)));
}

CURLcode cat_proxies_choose(const cat_proxies *proxies, CURLU *url, const cat_proxy **chosen) {
    char *scheme = NULL, *host = NULL;
    *chosen = NULL;
    if (!proxies->https.url && !proxies->http.url) {
        return CURLE_OK;
    }
    CURLUcode code = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0);
    code = code == CURLUE_OK ? curl_url_get(url, CURLUPART_HOST, &host, 0) : code;
    if (code == CURLUE_OK && !is_exempt(proxies, host)) {
        const cat_proxy *proxy =
            strcasecmp(scheme, "https") == 0 ? &proxies->https : &proxies->http;
        *chosen = proxy->url ? proxy : NULL;
    }
    curl_free(scheme);
    curl_free(host);
    return code == CURLUE_OK ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

/* --- reading them --- */

/* Keeps the text on top of the stack, which is taken off. */
static const char *keep(lua_State *L) {
    const char *text = lua_tostring(L, -1);
    lua_rawseti(L, AT_KEPT, (lua_Integer)lua_rawlen(L, AT_KEPT) + 1);
    return text;
}

/* The first of the variables that has something in it, and its value; or NULL. As libcurl, which
 * takes http_proxy in lower case only: to a CGI program HTTP_PROXY is a header of the request. */
static const char *read_variable(lua_State *L, const char *const *names, const char **name) {
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value) {
            *name = *names;
            lua_pushstring(L, value);
            return keep(L);
        }
    }
    return NULL;
}

static void read_environment(lua_State *L, cat_proxies *proxies) {
    static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        NULL};
    static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const none[] = {"no_proxy", "NO_PROXY", NULL};
    const char *name;
    proxies->of_environment = true;
    proxies->https.url = read_variable(L, https, &proxies->https.name);
    proxies->http.url = read_variable(L, http, &proxies->http.name);
    proxies->exceptions = read_variable(L, none, &name);
}

/* Checks a proxy, whose text is on top of the stack. Returns as cat_proxies_read. */
static int check(lua_State *L, cat_proxy *proxy, bool of_environment) {
    int pushed = cat_url_proxy(L, -1, proxy->name);
    if (pushed != 1) {
        return pushed;
    }
    if (of_environment) {
        lua_pushfstring(L, "%s of %s", lua_tostring(L, -1), proxy->name);
    }
    proxy->shown = keep(L);
    return 0;
}

/* Checks the proxy that a service needs, the URL on top of the stack. Returns likewise. */
static int check_for(lua_State *L, cat_proxies *proxies) {
    const cat_proxy *chosen = NULL;
    CURLU *url = curl_url();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (url && curl_url_set(url, CURLUPART_URL, lua_tostring(L, -1), 0) == CURLUE_OK) {
        code = cat_proxies_choose(proxies, url, &chosen);
    }
    curl_url_cleanup(url);
    if (code != CURLE_OK) {
        return cat_oom(L);
    }
    if (!chosen || chosen->shown) {
        return 0;
    }
    cat_proxy *proxy = chosen == &proxies->https ? &proxies->https : &proxies->http;
    lua_pushstring(L, proxy->url);
    return check(L, proxy, true);
}

/* What nobody needs is not checked, and must not be used. */
static void give_up_unchecked(cat_proxies *proxies) {
    proxies->https.url = proxies->https.shown ? proxies->https.url : NULL;
    proxies->http.url = proxies->http.shown ? proxies->http.url : NULL;
}

/* Reads those of the environment. Returns likewise. */
static int read_for_services(lua_State *L, cat_proxies *proxies) {
    read_environment(L, proxies);
    if (lua_getfield(L, AT_SETTINGS, "services") == LUA_TTABLE) {
        int services = lua_gettop(L);
        for (lua_Integer i = 1; lua_geti(L, services, i) != LUA_TNIL; i++) {
            int pushed = check_for(L, proxies);
            if (pushed) {
                return pushed;
            }
            lua_settop(L, services);
        }
    }
    give_up_unchecked(proxies);
    return 0;
}

int cat_proxies_read(lua_State *L, cat_proxies *proxies, int kept) {
    lua_settop(L, AT_OWNER);
    *proxies = (cat_proxies){0};
    lua_newtable(L);
    lua_pushvalue(L, AT_KEPT);
    lua_setiuservalue(L, AT_OWNER, kept);
    int type = lua_getfield(L, AT_SETTINGS, "proxy");
    if (type == LUA_TNIL || type == LUA_TBOOLEAN) {
        return lua_toboolean(L, -1) ? read_for_services(L, proxies) : 0;
    }
    const char *given = luaL_checkstring(L, -1);
    if (!*given) {
        return 0;
    }
    lua_pushvalue(L, -1);
    proxies->https = (cat_proxy){.url = keep(L), .name = "proxy"};
    int pushed = check(L, &proxies->https, false);
    proxies->http = proxies->https;
    return pushed;
}
