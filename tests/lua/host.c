/*
 * tests/lua/host.c - a C program with several Lua states: two in one thread, one in each of several threads, and threads that
 * end after their state has. Regions belong to the process, so a pointer of one state may be closed in another.
 *
 *   host          LUA_PATH leads to the binding
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    THREADS = 4,
    ROUNDS = 8
}; /* more threads than processors, each with some lives of a state */

static int failed_count;
static int passed_count;

static lua_State *state_new(void)
{
    lua_State *state = luaL_newstate();
    if (state == NULL) {
        (void)fprintf(stderr, "no Lua state\n");
        exit(1);
    }
    luaL_openlibs(state);
    return state;
}

/* Runs Lua with one number, gives back the number that it returns. */
static double state_run(lua_State *state, const char *program, double argument)
{
    if (luaL_loadstring(state, program) != 0) {
        (void)fprintf(stderr, "%s\n", lua_tostring(state, -1));
        exit(1);
    }
    lua_pushnumber(state, argument);
    if (lua_pcall(state, 1, 1, 0) != 0) {
        (void)fprintf(stderr, "%s\n", lua_tostring(state, -1));
        exit(1);
    }
    const double result = lua_tonumber(state, -1);
    lua_pop(state, 1);
    return result;
}

static void report(const char *name, int is_right)
{
    (void)printf("%s %s\n", is_right ? "pass" : "FAIL", name);
    passed_count += is_right != 0;
    failed_count += is_right == 0;
}

static const char program_make[] = "local mmapfile, ffi = require 'mmapfile', require 'ffi'\n"
                                   "local p = mmapfile.malloc(100, 'double')\n"
                                   "p[99] = ...\n"
                                   "return tonumber(ffi.cast('intptr_t', p))\n";

static const char program_take[] =
    "local mmapfile, ffi = require 'mmapfile', require 'ffi'\n"
    "local p = ffi.cast('double *', ...)\n"
    "local value = p[99]\n"
    "mmapfile.free(p)\n"
    "local again, text = pcall(mmapfile.free, p)\n"
    "assert(not again and text:find('no mmapped block at this address', 1, true))\n"
    "return value\n";

static const char program_unknown[] =
    "local mmapfile, ffi = require 'mmapfile', require 'ffi'\n"
    "return pcall(mmapfile.free, ffi.cast('void *', ...)) and 1 or 0\n";

/* A pointer made in one state is freed in another; both know then. One state's end leaves the other's alone. */
static void test_two_states(void)
{
    lua_State *one = state_new();
    lua_State *two = state_new();
    const double address = state_run(one, program_make, 7.5);
    report("host/freed_by_another_state", state_run(two, program_take, address) == 7.5);
    report("host/unknown_to_both_then", state_run(one, program_unknown, address) == 0);
    const double kept = state_run(one, program_make, 2.5);
    lua_close(one);
    report("host/outlives_its_state", state_run(two, program_take, kept) == 2.5);
    lua_close(two);
}

static const char program_work[] =
    "local mmapfile, loft, ffi = require 'mmapfile', require 'loft', require 'ffi'\n"
    "local seed = ...\n"
    "local name = ('host-%d'):format(seed)\n"
    "mmapfile.gccreate(name, 1000, 'int', ffi.new('int[1000]', seed))\n"
    /* Places of their own: one is open while another is mapped again, and two chosen ones may lie too close. */
    "local base = 0x200000000000 + seed * 2^40\n"
    "local arena = assert(loft.open(name .. '.loft', { mode = 'create', base = base }))\n"
    "local count = arena:root('count', 'int') or assert(arena:alloc 'int')\n"
    "assert(arena:set_root('count', count))\n"
    "for i = 1, 500 do\n"
    "  local block = mmapfile.gcmalloc(4096, 'int')\n"
    "  block[1023] = seed\n"
    "  local node = assert(arena:alloc('char', i))\n"
    "  if i % 2 == 0 then assert(arena:free(node)) end\n"
    "end\n"
    "count[0] = count[0] + 1\n"
    "assert(arena:commit())\n"
    "local read, items = mmapfile.gcopen(name, 'int')\n"
    "assert(items == 1000 and read[999] == seed)\n"
    "leftover = { arena, read, mmapfile.gcmalloc(100) }\n" /* for the finalisers at the state's end */
    "return count[0]\n";

static void *thread_run(void *argument)
{
    const double seed = (double)*(const int *)argument;
    uintptr_t right = 1;
    for (int round = 1; round <= ROUNDS; round++) {
        lua_State *state = state_new();
        right &= state_run(state, program_work, seed) == round;
        lua_close(state);
    }
    return (void *)right; // NOLINT(performance-no-int-to-ptr): a truth value on its way out
}

/* Every thread makes and ends states, with finalisers at the end of each; then it ends itself, with what the library keeps for
 * it still to be given up. */
static void test_threads(void)
{
    pthread_t threads[THREADS];
    int seeds[THREADS];
    for (int i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        if (pthread_create(&threads[i], NULL, thread_run, &seeds[i]) != 0) {
            exit(1);
        }
    }
    uintptr_t right = 1;
    for (int i = 0; i < THREADS; i++) {
        void *result = NULL;
        (void)pthread_join(threads[i], &result);
        right &= (uintptr_t)result;
    }
    report("host/threads_with_states", right != 0);
}

int main(void)
{
    test_threads();
    test_two_states();
    (void)printf("%d passed, %d failed, 0 skipped\n", passed_count, failed_count);
    return failed_count != 0;
}
