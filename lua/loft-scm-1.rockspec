rockspec_format = "3.0"
package = "loft"
version = "scm-1"
-- Only `luarocks make`, in a copy of the sources, is meant: it does not fetch.
source = {
  url = "git+file://.",
}
description = {
  summary = "Persistent heaps in files, and memory-mapped files above 4 GiB, for LuaJIT",
  detailed = [[
    Arenas: plain C structures that survive kill -9 and power cuts, committed all or nothing. And a drop-in for
    lua-mmapfile (it has modules of the same names, so do not install both). Needs LuaJIT, CMake, a C compiler and
    xxHash's header; builds libloft.]],
  license = "MIT",
  labels = { "ffi", "mmap", "persistence" },
}
dependencies = {
  "lua == 5.1",
}
external_dependencies = {
  XXHASH = { header = "xxhash.h" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "RelWithDebInfo",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    CMAKE_INSTALL_LIBDIR = "clib", -- what is in "lib" luarocks takes for Lua's own modules and moves
    LOFT_LUA_DIR = "$(LUADIR)",
    LOFT_BUILD_LUA = "ON",
    LOFT_BUILD_COMMAND = "OFF",
    LOFT_BUILD_MALLOC = "OFF",
    LOFT_BUILD_TESTS = "OFF",
    LOFT_BUILD_BENCH = "OFF",
    LOFT_BUILD_EXAMPLES = "OFF",
    XXHASH_INCLUDE_DIR = "$(XXHASH_INCDIR)",
  },
}
