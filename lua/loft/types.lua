--- What `loft` knows of C types, and how Lua's values become C's: an internal part of it.
--
-- @module loft.types

local ffi = require "ffi"
local cdef = require "loft.cdef"
local C = require "loft.library"

local types = {}

-- Beyond it a double does not tell neighbours apart, and no address space is as large.
local NUMBER_MAX = 2 ^ 53

local kinds = setmetatable({}, { __mode = "k" })

--- A type by its name or ctype: what a pointer to it is, and its size. Types of a state never change, so
-- they are kept.
function types.kind(ctype)
  local kind = kinds[ctype]
  if kind then
    return kind
  end
  local element = ffi.typeof(ctype)
  local sized, bytes = pcall(ffi.sizeof, element)
  if not sized or not bytes or bytes == 0 then
    error(("the type '%s' has no size"):format(tostring(ctype)), 3)
  end
  -- The comment makes the text another one for every type: busted remembers what typeof gave by its text alone.
  local pointer = ffi.typeof(("$ * /* %s */"):format(tostring(element)), element)
  kind = { pointer = pointer, bytes = bytes }
  kinds[ctype] = kind
  return kind
end

--- A pointer as the caller wants it: typed, if a type is given.
function types.typed(pointer, ctype)
  return ctype and ffi.cast(types.kind(ctype).pointer, pointer) or pointer
end

local any_pointer = ffi.typeof("const volatile void *")
local void_pointer = ffi.typeof("void *")

--- The address that a pointer of any type holds, as `void *`; nil for NULL and for what is no pointer.
function types.pointer(value)
  if type(value) ~= "cdata" then
    return nil
  end
  local cast, pointer = pcall(ffi.cast, any_pointer, value)
  if cast and pointer ~= nil then
    return ffi.cast(void_pointer, pointer)
  end
end

--- This thread's latest failure, in Lua's manner.
function types.failure(code)
  return nil, ffi.string(C.loft_last_error()), code or C.loft_last_code()
end

function types.invalid(text)
  return nil, text, C.LOFT_EINVAL
end

--- `count` times `unit` bytes as a number; or nil, message, code.
function types.extent(count, unit)
  local number = tonumber(count)
  if not number or number ~= number or number < 0 or number % 1 ~= 0 then
    return types.invalid(("'%s' is not a size"):format(tostring(count)))
  end
  if number * unit > NUMBER_MAX then
    return nil, ("%s times %d bytes are too many"):format(tostring(count), unit), C.LOFT_EOVERFLOW
  end
  return number * unit
end

--- Whether a string can be handed to C whole.
function types.is_text(text)
  return type(text) == "string" and not text:find("\0", 1, true)
end

--- The names of a struct's fields, out of its declaration.
local function fields_of(struct)
  local names = {}
  for field in cdef.text:match("typedef struct " .. struct .. "%s*{(.-)}"):gmatch("([%w_]+)%s*%[?%d*%]?;") do
    if field ~= "struct_bytes" and not field:find("^reserved") then
      names[#names + 1] = field
    end
  end
  return names
end

local fields = {}

--- A struct of libloft with `struct_bytes` set.
function types.new(struct)
  local object = ffi.new(struct)
  object.struct_bytes = ffi.sizeof(object)
  return object
end

--- A struct's fields as a table of numbers; 16 bytes become 32 hexadecimal digits.
function types.table(struct, object)
  fields[struct] = fields[struct] or fields_of(struct)
  local out = {}
  for _, field in ipairs(fields[struct]) do
    local value = object[field]
    out[field] = tonumber(value) or ffi.string(value, 16):gsub(".", function(byte)
      return ("%02x"):format(byte:byte())
    end)
  end
  return out
end

--- Sets a struct's fields from a table; an unknown one is an error.
function types.fill(struct, object, values)
  fields[struct] = fields[struct] or fields_of(struct)
  local known = {}
  for _, field in ipairs(fields[struct]) do
    known[field] = true
  end
  for field, value in pairs(values) do
    if not known[field] then
      error(("unknown option '%s'"):format(tostring(field)), 3)
    end
    object[field] = value
  end
end

return types
