--- Many strings in a file, each found by its offset: `require "mmapfile.string_list"`.
--
--     local list = string_list:new()
--     list:add "one"; list:add "two"
--     list:write "strings"
--     local at = list:offset "two"
--     ...
--     string_list.read "strings":get(at)      --> two
--
-- In the file the strings stand in order, each ended by a NUL; so one with a NUL inside reads back up to it.
--
-- @classmod mmapfile.string_list

local ffi = require "ffi"
local mmapfile = require "mmapfile"

pcall(ffi.cdef, [[void *loft_lua_find_byte(const void *memory, int byte, size_t bytes) __asm__("memchr");]])

local string_list = {}
string_list.__index = string_list

local string_file = {}
string_file.__index = string_file

--- A list without strings.
function string_list:new()
  return setmetatable({ strings = {}, map = {}, count = 0, size = 0 }, self)
end

--- Adds a string, unless it is there.
-- @string text
function string_list:add(text)
  if self.map[text] then
    return
  end
  local bytes = #text + 1
  self.count = self.count + 1
  self.strings[self.count] = text
  self.map[text] = self.size
  self.size = self.size + bytes
end

--- Sorts the strings and writes them to a file. The offsets are those in the file from then on.
-- @string filename
-- @return the file's mapping, `char *`, which closes itself; it may be dropped
function string_list:write(filename)
  table.sort(self.strings)
  local start = mmapfile.gccreate(filename, self.size, "char")
  local at = 0
  for i = 1, self.count do
    local text = self.strings[i]
    ffi.copy(start + at, text, #text + 1)
    self.map[text] = at
    at = at + #text + 1
  end
  return start
end

--- Where a string stands: in the file, once it is written. nil: it is not in the list.
-- @string text
function string_list:offset(text)
  return self.map[text]
end

--- Opens a file of strings.
-- @string filename
-- @return an object with the method `get`
function string_list.read(filename)
  local start, bytes = mmapfile.gcopen(filename, "char")
  return setmetatable({ string_ptr = start, bytes = bytes }, string_file)
end

--- The string at an offset.
-- @function string_file:get
-- @int at
-- @raise when there is no string at this offset
function string_file:get(at)
  if not (at >= 0 and at < self.bytes) then
    error(("no string at offset %s of a file of %d bytes"):format(tostring(at), self.bytes), 2)
  end
  local start = self.string_ptr + at
  if ffi.C.loft_lua_find_byte(start, 0, self.bytes - at) == nil then
    error(("the string at offset %d is cut off by the file's end"):format(at), 2)
  end
  return ffi.string(start)
end

return string_list
