/* Opening a spool: its directory, its lock, what its journal says. */
#ifndef CAT_SPOOL_OPEN_H
#define CAT_SPOOL_OPEN_H

#include "spool_thread.h"

#include <lua.h>

/* Opens the directory of a spool, which is made where it is not there, and reads its journal; all
 * that it opens is `t`'s. What it is for is text as it stands in JSON, or NULL; something that
 * waits in it for another is an error. Returns 0; or pushes nil and an error and returns 2. */
int cat_spool_open_directory(lua_State *L, cat_spool_thread *t, const char *path,
                             const char *dataset);

/* Reads the journal of a spool that another process may have, and changes nothing; what it opens is
 * `t`'s. Pushes what it says as JSON and returns 1; or pushes nil and an error and returns 2. */
int cat_spool_look(lua_State *L, cat_spool_thread *t, const char *path);

/* Closes all that was opened, and frees what belongs to the thread, which has ended or was never
 * begun. */
void cat_spool_close(cat_spool_thread *t);

/* Pushes the settings of a journal as an object. */
void cat_spool_push_settings(lua_State *L, const cat_settings *settings);

#endif
