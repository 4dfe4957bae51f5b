/* The path from a value that is encoded to a part of it, for messages and against cycles. */
#ifndef CAT_JSON_PATH_H
#define CAT_JSON_PATH_H

#include <lua.h>

/* How many tables may be in one another. */
#define CAT_JSON_MAX_DEPTH 512

/* One step of the path; the whole is a list from a part up to the root, which is NULL. */
typedef struct path_node {
    const struct path_node *parent;
    const void *table;
    const char *name;  /* the key under which the part stands in `table`; NULL: it has an index */
    lua_Integer index; /* the index */
    int depth;
} path_node;

/* Pushes the path to `at` as text: `records[3].person["odd name"]`. It begins with `root`, which
 * may be NULL or empty. */
void cat_json_push_path(lua_State *L, const char *root, const path_node *at);

#endif
