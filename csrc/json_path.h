/* The path from a value that is encoded to a part of it, for messages and against cycles. */
#ifndef CAT_JSON_PATH_H
#define CAT_JSON_PATH_H

#include <lua.h>

/* How many tables may be in one another. */
#define CAT_JSON_MAX_DEPTH 512

/* One step of the path; the whole is a list from a part up to the root, which is NULL. */
typedef struct cat_path_node {
    const struct cat_path_node *parent;
    const void *table;
    const char *name;  /* the key under which the part stands in `table`; NULL: it has an index */
    lua_Integer index; /* the index */
    int depth;
} cat_path_node;

/* Pushes the path to `at` as text: `records[3].person["odd name"]`. It begins with `root`, which
 * may be NULL or empty. */
void cat_json_push_path(lua_State *L, const char *root, const cat_path_node *at);

#endif
