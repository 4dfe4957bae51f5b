/* What the files of bench.bare share. */
#ifndef BENCH_H
#define BENCH_H

#include <lua.h>

/* The clocks at one moment, in seconds: of the wall, and of the CPU that this process has used. */
typedef struct {
    double wall, cpu;
} bench_moment;

bench_moment bench_now(void);

/* Puts the tools (clocks, ports, processes, the recorder) into the table on top of the stack. */
void bench_tools_open(lua_State *L);

/* Puts what gets pages there. */
void bench_get_open(lua_State *L);

#endif
