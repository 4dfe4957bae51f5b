/* The path to a part of a value, as text. */
#include "json_path.h"

#include <lauxlib.h>
#include <stdbool.h>

static bool is_identifier(const char *name) {
    if (!*name || (*name >= '0' && *name <= '9')) {
        return false;
    }
    for (; *name; name++) {
        bool letter =
            (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_';
        if (!letter && !(*name >= '0' && *name <= '9')) {
            return false;
        }
    }
    return true;
}

/* Pushes one step: `.name`, `["odd name"]` or `[3]`. */
static void push_step(lua_State *L, const cat_path_node *at, bool first) {
    if (!at->name) {
        lua_pushfstring(L, "[%I]", (LUAI_UACINT)at->index);
    } else if (!is_identifier(at->name)) {
        lua_pushfstring(L, "[\"%s\"]", at->name);
    } else {
        lua_pushfstring(L, first ? "%s" : ".%s", at->name);
    }
}

void cat_json_push_path(lua_State *L, const char *root, const cat_path_node *at) {
    const cat_path_node *steps[CAT_JSON_MAX_DEPTH + 1];
    int count = 0;
    for (; at; at = at->parent) {
        steps[count++] = at;
    }
    bool rooted = root && *root;
    luaL_Buffer path;
    luaL_buffinit(L, &path);
    luaL_addstring(&path, rooted ? root : count ? "" : "the value");
    while (count-- > 0) {
        push_step(L, steps[count], !rooted && luaL_bufflen(&path) == 0);
        luaL_addvalue(&path);
    }
    luaL_pushresult(&path);
}
