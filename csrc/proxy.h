/* The proxies of a client: that of its settings, or those of the environment. */
#ifndef CAT_PROXY_H
#define CAT_PROXY_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>

typedef struct {
    const char *url;   /* NULL: none */
    const char *name;  /* of the option or the variable it is from */
    const char *shown; /* without user and password */
} cat_proxy;

/* The texts are kept alive by who has read them. */
typedef struct {
    cat_proxy https, http;  /* for URLs of that scheme */
    const char *exceptions; /* hosts that are reached without one, as in NO_PROXY; or NULL */
    bool of_environment;    /* so this machine is reached without one as well */
} cat_proxies;

/* Reads the proxies for the settings at 1, and leaves their texts with the userdata at 2, as its
 * user value `kept`. They are checked where one of the `services` in the settings needs them, and
 * given up otherwise. Returns 0; or pushes nil and an error of kind `config` and returns 2. */
int cat_proxies_read(lua_State *L, cat_proxies *proxies, int kept);

/* Which of them a URL is asked for by way of; NULL: of none. */
CURLcode cat_proxies_choose(const cat_proxies *proxies, CURLU *url, const cat_proxy **chosen);

#endif
