--- Persistent heaps in files, for LuaJIT: `require "loft"`.
--
--     local loft = require "loft"
--     local arena = assert(loft.open "notes.loft")
--     local note = arena:root("newest", "struct note") or assert(arena:alloc "struct note")
--     note.number = note.number + 1
--     arena:set_root("newest", note)
--     assert(arena:commit())
--
-- What fails returns `nil, message, code`; the codes are `loft.EBUSY` and so on. What only a wrong program can do (a type
-- that does not exist, an unknown option) raises an error. What holds for C holds here: include/loft/arena.h has
-- the promises, and docs/lua.md what is special in Lua.
--
-- @module loft

local ffi = require "ffi"
local C = require "loft.library"
local cdef = require "loft.cdef"
local types = require "loft.types"
local callback = require "loft.callback"
local Arena = require "loft.inspect"

local loft = {
  --- All of libloft, as declared in its headers: `loft.C.loft_arena_malloc(arena.handle, 64)`.
  C = C,
  --- The version of the library.
  version = ffi.string(C.loft_version()),
}

for name in cdef.text:gmatch("LOFT_(E%u+)%s*=") do
  loft[name] = C["LOFT_" .. name]
end

local open_flags = {
  r = 0,
  rw = C.LOFT_WRITE,
  create = C.LOFT_CREATE,
  new = C.LOFT_CREATE + C.LOFT_EXCLUSIVE,
}

local also_flags = {
  relocate = C.LOFT_RELOCATE,
  untrusted = C.LOFT_UNTRUSTED,
  allow_remote = C.LOFT_ALLOW_REMOTE,
}

local durabilities = { durable = C.LOFT_DURABLE, ordered = C.LOFT_ORDERED }

--- Flags and the option struct from a table of options.
local function read_options(given)
  local flags, fields = open_flags.create, {}
  for name, value in pairs(given) do
    if name == "mode" then
      flags = open_flags[value] or error(("unknown mode '%s'"):format(tostring(value)), 3)
    elseif name == "durability" then
      fields.durability = durabilities[value] or
        error(("unknown durability '%s'"):format(tostring(value)), 3)
    elseif not also_flags[name] then
      fields[name] = value
    end
  end
  for name, flag in pairs(also_flags) do
    flags = flags + (given[name] and flag or 0)
  end
  local options = types.new("loft_arena_options")
  types.fill("loft_arena_options", options, fields)
  return flags, options
end

local function open(path, given)
  local flags, options = read_options(type(given) == "string" and { mode = given } or given or {})
  local out = ffi.new("loft_arena *[1]")
  local code = C.loft_arena_open(path, flags, options, out)
  if code ~= 0 then
    return types.failure(code)
  end
  return Arena.adopt(out[0])
end

--- Opens or creates an arena.
-- @string path
-- @param[opt] options a mode, or a table: `mode` (`"create"`: open or create, the default; `"new"`: it must not be there;
-- `"rw"`: it must be there; `"r"`: to be read), `relocate`, `untrusted`, `allow_remote` (booleans), `durability` (`"durable"`,
-- `"ordered"`), `base`, `reserve_bytes`, `journal_limit_bytes`, `gate_timeout_ms` (numbers)
-- @return an @{loft.arena}; or nil, message, code
function loft.open(path, options)
  if not types.is_text(path) then
    return types.invalid(("'%s' is not a path"):format(tostring(path)))
  end
  return open(path, options)
end

--- Opens an arena without a file: a heap above 4 GiB, which the collector does not see.
-- @param[opt] options as for @{open}
-- @return an @{loft.arena}; or nil, message, code
function loft.anonymous(options)
  return open(nil, options)
end

--- Maps a zeroed array outside the collector's memory, which is unmapped when its pointer is collected.
-- @param ctype
-- @param count
-- @param[opt] options a table of booleans: `shared` (with forked children), `noreserve` (not counted against the memory that
-- the system promises out), `huge`, `populate`
-- @return `ctype *`; or nil, message, code
function loft.map(ctype, count, options)
  local kind = types.kind(ctype)
  local bytes, text, code = types.extent(count, kind.bytes)
  if not bytes then
    return nil, text, code
  end
  local flags = 0
  for name, value in pairs(options or {}) do
    local flag = ({ shared = C.LOFT_SHARED, noreserve = C.LOFT_NORESERVE, huge = C.LOFT_HUGE,
                    populate = C.LOFT_POPULATE })[name] or
      error(("unknown option '%s'"):format(tostring(name)), 2)
    flags = flags + (value and flag or 0)
  end
  local memory = C.loft_map(bytes, flags)
  if memory == nil then
    return types.failure()
  end
  return ffi.gc(ffi.cast(kind.pointer, memory), C.loft_lua_free)
end

--- What a file says about itself, without opening it.
-- @string path
-- @return a table of the fields of `loft_arena_info`; or nil, message, code
function loft.describe(path)
  local info = types.new("loft_arena_info")
  local code = C.loft_file_describe(tostring(path), info)
  if code ~= 0 then
    return types.failure(code)
  end
  return types.table("loft_arena_info", info)
end

--- Looks for everything in a file that can be proved wrong.
-- @string path
-- @return true; or nil, message, code and a list of faults, each with `code`, `offset` and `text`
function loft.check(path)
  return callback.faults(function(report)
    return C.loft_file_check(tostring(path), report, nil, nil)
  end)
end

--- Writes what is whole of a damaged arena into a new one.
-- @string from
-- @string to must not exist
-- @return true; or nil, message, code and a list of faults
function loft.salvage(from, to)
  return callback.faults(function(report)
    return C.loft_file_salvage(tostring(from), tostring(to), report, nil)
  end)
end

return loft
