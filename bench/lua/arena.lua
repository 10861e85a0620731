--- An arena's blocks through LuaJIT's FFI.
--
--   bench/lua/run arena [ROUNDS]
--
--   ffi       loft.C.loft_arena_malloc and loft_arena_free, 64 bytes, compiled: the promise is at most 15 ns a pair
--   methods   arena:alloc "struct ..." (zeroed) and arena:free (which looks the pointer up first)
--   malloc    libc's malloc and free through the same FFI
--
-- Nanoseconds a pair, medians of processor time. LUAJIT_OPTIONS=-jv shows that the loops are compiled.

local ffi = require "ffi"
local loft = require "loft"
local measure = require "measure"

ffi.cdef [[
typedef struct loft_bench_block { int64_t words[8]; } loft_bench_block;
void *loft_bench_malloc(size_t) __asm__("malloc");
void loft_bench_free(void *) __asm__("free");
]]

local BYTES = 64
local C, libc = loft.C, ffi.C
local arena = assert(loft.anonymous())
local handle = arena.handle
local block = ffi.typeof("loft_bench_block")

measure.compare("malloc + free, 64 bytes", { "malloc", "methods", "ffi" }, {
  ffi = function() C.loft_arena_free(handle, C.loft_arena_malloc(handle, BYTES)) end,
  methods = function() arena:free(arena:alloc(block)) end,
  malloc = function() libc.loft_bench_free(libc.loft_bench_malloc(BYTES)) end,
}, tonumber(arg[1]) or 21, 20000)
assert(arena:abandon())
