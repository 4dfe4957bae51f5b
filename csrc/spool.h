/* A spool: records on this machine's disk that are to go to the platform. */
#ifndef CAT_SPOOL_H
#define CAT_SPOOL_H

#include "fork_guard.h"
#include "spool_thread.h"

#include <lauxlib.h>

#define CAT_SPOOL "catalog.spool"

/* What was put since a segment, and a batch, began. */
typedef struct {
    int64_t segment_bytes, batch_bytes, batch_records, batch_files;
    int64_t records, bytes; /* of all time */
} cat_spool_counts;

typedef struct {
    lua_State *L; /* the main thread, for its allocator */
    cat_fork_guard guard;
    bool is_open; /* its thread was begun */
    int64_t file_bytes, record_bytes, roll_bytes, roll_records, roll_files;
    cat_spool_counts now, committed; /* what was put, and up to where calls have ended */
    bool in_call;                    /* something was put since the last call has ended */
    bool rolls_back; /* a call was given up, for which there was no room to say so */
    int64_t last_ticket, told_due;
    cat_spool_thread thread;
} cat_spool;

/* The spool that a method is called with, if it is open, and this process's. NULL: nil and an error
 * were pushed. */
cat_spool *cat_spool_own(lua_State *L);

/* The same, if it can go on. */
cat_spool *cat_spool_usable(lua_State *L);

/* spool_write.c: the methods by which records get in. */
extern const luaL_Reg cat_spool_writing[];

/* spool_ask.c: the methods by which its thread is asked for something. */
extern const luaL_Reg cat_spool_asking[];

/* Pushes the table of functions that Lua sees as core.spool; returns 1. */
int cat_spool_module(lua_State *L);

#endif
