--- Finds libloft, declares it, and gives it back: `require "loft.library"` is its functions and constants.
--
-- The declarations are cut from the public headers when loft is built (`loft.cdef`), so they are those of
-- the library that was built beside them. A library of another version is refused.
--
-- Where the library is looked for, first to last:
--
-- 1. the file named by the environment variable `LOFT_LIBRARY`, and then nowhere else;
-- 2. the file that `loft.where` names: written by the build, for the build tree and for the installation;
-- 3. where the system looks for `libloft`.
--
-- @module loft.library

local ffi = require "ffi"
local cdef = require "loft.cdef"

-- Functions that take a pointer by any type at all. A finaliser gets the pointer as the program typed it, and a
-- `const` one is refused by `void *`: an error inside a finaliser, which ends the process.
local any_pointer = [[
int loft_lua_free(const volatile void *address) __asm__("loft_free");
int loft_lua_close(const volatile void *address) __asm__("loft_close");
]]

-- A module may be loaded twice in one state (its entry in package.loaded was cleared); types may not be declared twice.
local function declare()
  if not pcall(ffi.typeof, "loft_arena_info") then
    ffi.cdef(cdef.text)
    ffi.cdef(any_pointer)
  end
end

local function find()
  local given = os.getenv("LOFT_LIBRARY")
  if given and given ~= "" then
    return ffi.load(given)
  end
  local known, where = pcall(require, "loft.where")
  if known then
    local loaded, library = pcall(ffi.load, where)
    if loaded then
      return library
    end
  end
  return ffi.load("loft")
end

local function series(version)
  return version:match("^(%d+%.%d+)")
end

if not ffi.abi("64bit") then
  error("loft needs a 64-bit LuaJIT: all its addresses lie above 4 GiB", 0)
end
declare()
local library = find()
local version = ffi.string(library.loft_version())
if series(version) ~= series(cdef.version) then
  error(("libloft is version %s, these Lua files are of version %s"):format(version, cdef.version), 0)
end

return library
