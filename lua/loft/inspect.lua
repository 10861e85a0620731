--- What an arena tells about itself: a part of @{loft.arena}.
--
-- @classmod loft.arena

local ffi = require "ffi"
local C = require "loft.library"
local types = require "loft.types"
local callback = require "loft.callback"
local Arena = require "loft.arena"

local typed, failure, pointer_of = types.typed, types.failure, types.pointer

local function closed()
  return types.invalid("the arena is closed")
end

--- All live blocks, in order of address: `for pointer, bytes in arena:blocks() do`. Blocks may be freed meanwhile.
function Arena:blocks()
  local cursor = types.new("loft_block")
  return function()
    if self.handle and C.loft_arena_next_block(self.handle, cursor) == 0 then
      return cursor.address, tonumber(cursor.bytes)
    end
  end
end

--- Verifies every invariant of the heap and the roots.
-- @return true; or nil, message, code and a list of faults, each with `code`, `offset` and `text`
function Arena:check()
  local handle = self.handle
  if not handle then
    return closed()
  end
  return callback.faults(function(report)
    return C.loft_arena_check(handle, report, nil, nil)
  end)
end

local function told(self, struct, invoke)
  if not self.handle then
    return closed()
  end
  local out = types.new(struct)
  local code = invoke(self.handle, out)
  if code ~= 0 then
    return failure(code)
  end
  return types.table(struct, out)
end

--- Figures: blocks, bytes, commits.
-- @return a table of the fields of `loft_arena_statistics`; or nil, message, code
function Arena:stats()
  return told(self, "loft_arena_statistics", C.loft_arena_stats)
end

--- Identity and place.
-- @return a table of the fields of `loft_arena_info`; or nil, message, code
function Arena:describe()
  return told(self, "loft_arena_info", C.loft_arena_describe)
end

--- The offset of an address from the arena's base, which holds wherever the arena is mapped.
-- @return a number; or nil, message, code
function Arena:offset(pointer)
  if not self.handle then
    return closed()
  end
  local offset = tonumber(C.loft_offset(self.handle, pointer_of(pointer)))
  if offset == 0 then
    return nil, ("%s is not in this arena"):format(tostring(pointer)), C.LOFT_ERANGE
  end
  return offset
end

--- The address at an offset.
-- @param offset
-- @param[opt] ctype
-- @return `ctype *` or `void *`; or nil, message, code
function Arena:at(offset, ctype)
  if not self.handle then
    return closed()
  end
  local number, text, code = types.extent(offset, 1)
  if not number then
    return nil, text, code
  end
  local pointer = C.loft_at(self.handle, number)
  if pointer == nil then
    return nil, ("offset %s is not in this arena"):format(tostring(offset)), C.LOFT_ERANGE
  end
  return typed(pointer, ctype)
end

--- A pointer as it was stored, translated to where the arena lies (`relocate`).
-- @param pointer
-- @return a pointer of the same type; nil for NULL
function Arena:resolve(pointer)
  if not self.handle then
    return closed()
  end
  local address = pointer_of(pointer)
  if address then
    return ffi.cast(ffi.typeof(pointer), C.loft_arena_resolve(self.handle, address))
  end
end

return Arena
