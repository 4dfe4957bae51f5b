/*** Creating a batch: options -> JSON payload; reply -> Lua table.
 *
 * The options arrive with their types checked and unknown names refused (options.lua); what depends
 * on a value is checked here.
 * @module catalog.core.batch */
#include "batch.h"

#include "failure.h"
#include "json.h"
#include "json_encode.h"
#include "url.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

/* payload[field] = options[option], where given. The payload is on top. */
static void copy(lua_State *L, int options, const char *option, const char *field) {
    if (lua_getfield(L, options, option) == LUA_TNIL) {
        lua_pop(L, 1);
    } else {
        lua_setfield(L, -2, field);
    }
}

/* Pushes a copy of the list at `index` that is an array in JSON, empty or not. */
static void push_array(lua_State *L, int index) {
    lua_Unsigned length = lua_rawlen(L, index);
    lua_createtable(L, (int)length, 0);
    cat_json_tag_array(L);
    for (lua_Unsigned i = 1; i <= length; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
}

/* As `copy`, for a list of strings. Returns 0, or what the failure pushed. */
static int copy_list(lua_State *L, int options, const char *option, const char *field,
                     const char *path) {
    if (lua_getfield(L, options, option) == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    int list = lua_gettop(L);
    lua_Unsigned length = lua_type(L, list) == LUA_TTABLE ? lua_rawlen(L, list) : 0;
    bool good = lua_type(L, list) == LUA_TTABLE;
    for (lua_Unsigned i = 1; good && i <= length; i++) {
        good = lua_rawgeti(L, list, (lua_Integer)i) == LUA_TSTRING;
        lua_pop(L, 1);
    }
    if (!good) {
        return cat_failure(L, "data", "%s%s must be a list of strings", path, option);
    }
    push_array(L, list);
    lua_setfield(L, list - 1, field);
    lua_settop(L, list - 1);
    return 0;
}

static bool given(lua_State *L, int options, const char *option) {
    bool is = lua_getfield(L, options, option) != LUA_TNIL;
    lua_pop(L, 1);
    return is;
}

static bool known_format(const char *format) {
    return strcmp(format, "json") == 0 || strcmp(format, "parquet") == 0 ||
           strcmp(format, "csv") == 0;
}

/* Copies the options of CSV into the table on top. */
static void copy_csv(lua_State *L, int options) {
    static const char *const fields[][2] = {
        {"delimiter", "delimiter"}, {"quote", "quote"},   {"escape", "escape"},
        {"charset", "charset"},     {"header", "header"}, {"null_marker", "nullMarker"}};
    lua_getfield(L, options, "csv");
    lua_insert(L, -2);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        copy(L, lua_absindex(L, -2), fields[i][0], fields[i][1]);
    }
    lua_remove(L, -2);
}

/* payload.inputFormat, when the options name a format or something that has only one. */
static int add_format(lua_State *L, int options) {
    bool csv = given(L, options, "csv"), multiline = given(L, options, "multiline");
    lua_getfield(L, options, "format");
    const char *format = lua_tostring(L, -1);
    if (!format && !csv && !multiline) {
        lua_pop(L, 1);
        return 0;
    }
    if (!format) {
        format = csv ? "csv" : "json";
    }
    if (!known_format(format)) {
        return cat_failure(L, "data", "format '%s' is not known; it is json, parquet or csv",
                           format);
    }
    if (csv && strcmp(format, "csv") != 0) {
        return cat_failure(L, "data", "csv options need format = 'csv', and it is '%s'", format);
    }
    if (multiline && strcmp(format, "json") != 0) {
        return cat_failure(L, "data", "multiline needs format = 'json', and it is '%s'", format);
    }
    lua_createtable(L, 0, 4);
    lua_pushstring(L, format);
    lua_setfield(L, -2, "format");
    copy(L, options, "multiline", "isMultiLineJson");
    if (csv) {
        copy_csv(L, options);
    }
    lua_setfield(L, -3, "inputFormat");
    lua_pop(L, 1);
    return 0;
}

/* Puts a `$` before each string of the list on top that does not begin with one. Source: Adobe's
 * description of the API, for external ids. */
static void mark_external_ids(lua_State *L) {
    lua_Unsigned length = lua_rawlen(L, -1);
    for (lua_Unsigned i = 1; i <= length; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        if (*lua_tostring(L, -1) == '$') {
            lua_pop(L, 1);
            continue;
        }
        lua_pushliteral(L, "$");
        lua_insert(L, -2);
        lua_concat(L, 2);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
}

static int add_replay(lua_State *L, int options) {
    if (lua_getfield(L, options, "replay") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    int replay = lua_gettop(L), failed;
    lua_createtable(L, 0, 3);
    copy(L, replay, "reason", "reason");
    failed = copy_list(L, replay, "predecessors", "predecessors", "replay.");
    if (!failed) {
        failed = copy_list(L, replay, "predecessors_by_external_id", "predecessorsByExternalId",
                           "replay.");
    }
    if (failed) {
        return failed;
    }
    if (lua_getfield(L, -1, "predecessorsByExternalId") == LUA_TTABLE) {
        mark_external_ids(L);
    }
    lua_pop(L, 1);
    lua_setfield(L, replay - 1, "replay");
    lua_settop(L, replay - 1);
    return 0;
}

static int add_tags(lua_State *L, int options) {
    if (lua_getfield(L, options, "tags") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    int tags = lua_gettop(L);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, tags)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING) {
            return cat_failure(L, "data", "tags must be a table of name = { 'value', ... }");
        }
        lua_pushvalue(L, -2); /* the copy, where copy_list expects it: on top */
        const char *name = lua_tostring(L, -2);
        if (strlen(name) != lua_rawlen(L, -2)) {
            return cat_failure(L, "data", "tags.%s: the name goes on behind a zero byte", name);
        }
        int failed = copy_list(L, tags, name, name, "tags.");
        if (failed) {
            return failed;
        }
        lua_pop(L, 1);
    }
    lua_setfield(L, tags - 1, "tags");
    lua_settop(L, tags - 1);
    return 0;
}

static int add_partial(lua_State *L, int options) {
    if (lua_getfield(L, options, "partial_ingestion") != LUA_TNIL) {
        lua_Number percent = lua_tonumber(L, -1);
        if (!(percent >= 0 && percent <= 100)) {
            return cat_failure(L, "data", "partial_ingestion is a percentage, 0 to 100");
        }
    }
    lua_pop(L, 1);
    copy(L, options, "partial_ingestion", "partialIngestionPercent");
    return 0;
}

/* Whether two values, on top of the stack, are both objects: a list replaces, it is never mixed in.
 */
static bool both_objects(lua_State *L) {
    for (int i = -2; i < 0; i++) {
        if (lua_type(L, i) != LUA_TTABLE || lua_rawlen(L, i) > 0) {
            return false;
        }
        if (lua_getmetatable(L, i)) {
            lua_pop(L, 1);
            return false;
        }
    }
    return true;
}

/* Merges the table at `from` into the table on top: objects into objects, anything else replaces.
 */
static void merge(lua_State *L, int from) {
    int into = lua_gettop(L);
    luaL_checkstack(L, 6, "extra is nested too deeply");
    lua_pushnil(L);
    while (lua_next(L, from)) {
        lua_pushvalue(L, -2);
        lua_rawget(L, into);
        if (both_objects(L)) {
            merge(L, lua_absindex(L, -2));
            lua_pop(L, 2);
        } else {
            lua_pop(L, 1);
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, into);
        }
    }
}

static int check_dataset(lua_State *L) {
    lua_getfield(L, 1, "dataset");
    size_t length = 0;
    const char *dataset = lua_tolstring(L, -1, &length);
    lua_pop(L, 1);
    if (!dataset) {
        return cat_failure(L, "data",
                           "create_batch needs the id of a dataset: { dataset = '...' }");
    }
    if (!length) {
        return cat_failure(L, "data", "dataset is empty; create_batch needs its id");
    }
    /* Files could not be uploaded: the id is part of their paths. */
    return cat_url_segment_fits(dataset)
               ? 0
               : cat_failure(L, "data", "'%s' cannot be used as a dataset id", dataset);
}

/*** The body of a creation.
 * @function payload
 * @tparam table options those of `create_batch`, their types checked
 * @treturn[1] string JSON; only what the caller named is in it
 * @treturn[2] nil
 * @treturn[2] table error of kind `data` */
static int batch_payload(lua_State *L) {
    static int (*const parts[])(lua_State *, int) = {add_format, add_replay, add_tags, add_partial};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    int failed = check_dataset(L);
    if (failed) {
        return failed;
    }
    lua_createtable(L, 0, 1);
    copy(L, 1, "dataset", "datasetId");
    copy(L, 1, "external_id", "externalId");
    copy(L, 1, "error_diagnostics", "enableErrorDiagnostics");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        failed = parts[i](L, 1);
        if (failed) {
            return failed;
        }
    }
    if (lua_getfield(L, 1, "extra") == LUA_TTABLE) {
        lua_insert(L, 2);
        merge(L, 2);
    } else {
        lua_pop(L, 1);
    }
    return cat_json_encode(L, -1, "options");
}

/*** The batch in the reply to a creation.
 * @function parse
 * @tparam string body
 * @treturn[1] table every field the service sent
 * @treturn[2] nil
 * @treturn[2] table error of kind `protocol`: it is not JSON, or no batch */
static int batch_parse(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (cat_json_decode(L, 1) != 1) {
        return 2;
    }
    if (lua_type(L, -1) != LUA_TTABLE) {
        return cat_failure(L, "protocol", "the reply is not a batch");
    }
    lua_pushliteral(L, "id");
    if (lua_rawget(L, -2) != LUA_TSTRING || lua_rawlen(L, -1) == 0) {
        return cat_failure(L, "protocol", "the reply has no batch id");
    }
    lua_pop(L, 1);
    return 1;
}

int cat_batch_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"payload", batch_payload}, {"parse", batch_parse}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
