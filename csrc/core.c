/* luaopen_catalog_core, and nothing else. */
#include "batch.h"
#include "buffer.h"
#include "catalog.h"
#include "client.h"
#include "engine.h"
#include "failure.h"
#include "file.h"
#include "fits_module.h"
#include "fs.h"
#include "journal.h"
#include "json.h"
#include "lines_module.h"
#include "listener.h"
#include "pipe.h"
#include "spool.h"
#include "sync.h"
#include "system.h"
#include "tail.h"
#include "transfer.h"
#include "url.h"

#include <curl/curl.h>
#include <lauxlib.h>
#include <pthread.h>

#if LIBCURL_VERSION_NUM < 0x075500
#error "catalog needs libcurl 7.85.0 or newer"
#endif

static CURLcode curl_state = CURLE_FAILED_INIT;

static void start_curl(void) {
    curl_state = curl_global_init(CURL_GLOBAL_ALL);
}

int luaopen_catalog_core(lua_State *L) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const struct {
        const char *name;
        lua_CFunction open;
    } parts[] = {{"failure", cat_failure_open}, {"system", cat_system_open},
                 {"fs", cat_fs_open},           {"json", cat_json_open},
                 {"url", cat_url_open},         {"engine", cat_engine_open},
                 {"client", cat_client_open},   {"transfer", cat_transfer_open},
                 {"batch", cat_batch_open},     {"file", cat_file_open},
                 {"buffer", cat_buffer_open},   {"journal", cat_journal_open},
                 {"pipe", cat_pipe_open},       {"listener", cat_listener_open},
                 {"spool", cat_spool_module},   {"lines", cat_lines_open},
                 {"tail", cat_tail_open},       {"fits", cat_fits_open},
                 {"sync", cat_sync_open}};
    pthread_once(&once, start_curl);
    if (curl_state != CURLE_OK) {
        return luaL_error(L, "libcurl does not start: %s", curl_easy_strerror(curl_state));
    }
    luaL_checkversion(L);
    lua_createtable(L, 0, (int)(sizeof parts / sizeof *parts));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        parts[i].open(L);
        lua_setfield(L, -2, parts[i].name);
    }
    return 1;
}
