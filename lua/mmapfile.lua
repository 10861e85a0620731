--- Memory-mapped files and memory above 4 GiB: a drop-in for lua-mmapfile, over libloft.
--
-- The eight functions, their arguments, results and error texts are lua-mmapfile's. What ended there in a crash,
-- a leak or a wrong number is an error here, or works; docs/lua.md has the list.
--
--     local mmapfile = require "mmapfile"
--     local points = mmapfile.gccreate("points", 1000, "double")
--
-- Sizes are numbers, 64-bit integers or strings that read as numbers: not negative, at most 2^53 bytes in the end.
-- Where a type is given, sizes count in it. A type is a string or a ctype.
--
-- The `gc` functions attach a finaliser to the pointer they return, which is a C function: it frees or closes when the
-- collector finds that pointer, that very cdata, unreachable. A cast of it keeps nothing alive. An explicit @{free} or
-- @{close}, of the pointer or any cast of it, disarms the finaliser.
--
-- Regions belong to the process: a pointer may be closed from another Lua state, and no table grows here.
--
-- @module mmapfile

local ffi = require "ffi"
local C = require "loft.library"

local any_pointer = ffi.typeof("const volatile void *")
local address_number = ffi.typeof("intptr_t")
local source_box = ffi.typeof("const volatile void *[1]")

-- Beyond it a double does not tell neighbours apart, and no address space is as large.
local BYTES_MAX = 2 ^ 53

--- A type by its name: what a pointer to it is, and its size. Types of a state never change, so they are kept.
local kinds = {}

local function kind_of(where, ctype)
  local kind = kinds[ctype]
  if kind then
    return kind
  end
  local element = ffi.typeof(ctype)
  local sized, bytes = pcall(ffi.sizeof, element)
  if not sized or not bytes or bytes == 0 then
    error(("mmapfile.%s: the type '%s' has no size"):format(where, tostring(ctype)))
  end
  -- The comment makes the text another one for every type: busted remembers what typeof gave by its text alone.
  local pointer = ffi.typeof(("$ * /* %s */"):format(tostring(element)), element)
  kind = { pointer = pointer, bytes = bytes }
  if type(ctype) == "string" then
    kinds[ctype] = kind
  end
  return kind
end

--- `count` units of `unit` bytes, in bytes, checked. `what` names it in the error.
local function extent(where, what, count, unit)
  local number = tonumber(count)
  if not number or number ~= number or number < 0 then
    error(("mmapfile.%s: bad %s '%s'"):format(where, what, tostring(count)))
  end
  local bytes = number * unit
  if bytes > BYTES_MAX then
    error(("mmapfile.%s: %s %s is too large"):format(where, what, tostring(count)))
  end
  return math.floor(bytes)
end

--- The reason in libloft's sentence, `operation 'path': reason`; for a refusal by the system its own text.
local function reason(operation, name)
  local sentence = ffi.string(C.loft_last_error())
  local from = #operation + 2
  -- A long path is cut at its beginning, so the path's end is what can be relied on.
  local tail = name:sub(-64) .. "': "
  local _, last = sentence:find(tail, from, true)
  return last and sentence:sub(last + 1) or sentence
end

local function check_name(where, name)
  if type(name) ~= "string" then
    error(("mmapfile.%s: the file's name is a %s, not a string"):format(where, type(name)))
  end
  return not name:find("\0", 1, true)
end

--- How many bytes may be read at `source`, at most `bytes`: beyond a Lua string, an array or a mapping there is nothing
-- to copy. Also an address that holds `source`, whatever it was.
local region = ffi.new("loft_region_info")

local function readable(where, data, bytes)
  if type(data) == "string" then
    return ffi.cast(any_pointer, data), math.min(bytes, #data)
  end
  local box = source_box()
  if not pcall(function() box[0] = data end) or box[0] == nil then
    error(("mmapfile.%s: data is neither a pointer nor a string: %s"):format(where, tostring(data)))
  end
  local held = ffi.sizeof(data)
  if not tostring(ffi.typeof(data)):find("[*)&]>$") and held and held < bytes then
    return box[0], held
  end
  region.struct_bytes = ffi.sizeof(region)
  local address = tonumber(ffi.cast(address_number, box[0]))
  if C.loft_region_query(ffi.cast("const void *", box[0]), region) == 0 then
    local left = tonumber(ffi.cast(address_number, region.address)) + tonumber(region.bytes) - address
    return box[0], math.min(bytes, math.max(left, 0))
  end
  return box[0], bytes
end

--- The pointers that have a finaliser, by address, so that closing a cast of one disarms it.
local armed = setmetatable({}, { __mode = "v" })

local function arm(pointer, finaliser)
  armed[tonumber(ffi.cast(address_number, pointer))] = pointer
  return ffi.gc(pointer, finaliser)
end

local function disarm(given, address)
  local key = tonumber(ffi.cast(address_number, address))
  local pointer = armed[key]
  if pointer ~= nil then
    armed[key] = nil
    ffi.gc(pointer, nil)
  end
  -- And one that the program attached itself.
  if type(given) == "cdata" and given ~= pointer then
    pcall(ffi.gc, given, nil)
  end
end

local function address_of(pointer, text)
  local cast, address = pcall(ffi.cast, any_pointer, pointer)
  if not cast or address == nil then
    error(text)
  end
  return address
end

--- What is wrong when libloft would not release: it does not know the address, or it did not go well.
local function refuse(code, text)
  if code == C.LOFT_ENOENT or code == C.LOFT_EINVAL then
    error(text)
  end
  error(ffi.string(C.loft_last_error()))
end

local NOT_MEMORY = "no mmapped block at this address"
local NOT_FILE = "no file open for this address"

--- Frees memory of @{malloc}.
-- @param pointer any pointer to its first byte
-- @raise `no mmapped block at this address`
local function free(pointer)
  local address = address_of(pointer, NOT_MEMORY)
  local code = C.loft_lua_free(address)
  if code ~= 0 then
    refuse(code, NOT_MEMORY)
  end
  disarm(pointer, address)
end

--- Writes a file's mapping back to the device, if it is writable, and unmaps it.
-- @param pointer any pointer to its first byte
-- @raise `no file open for this address`; what the system says when it could not write back (the mapping is gone
-- all the same)
local function close(pointer)
  local address = address_of(pointer, NOT_FILE)
  local code = C.loft_lua_close(address)
  local is_released = code == 0 or code == C.LOFT_EIO or code == C.LOFT_ENOSPC
  if is_released then
    disarm(pointer, address)
  end
  if code ~= 0 then
    refuse(code, NOT_FILE)
  end
end

--- Maps zeroed memory, above 4 GiB and shared with forked children.
-- @param size how many of `ctype`; without it, bytes
-- @param[opt] ctype
-- @param[opt] data copied into it: a pointer, a mapping or a string; as much as there is of it
-- @return a pointer, `ctype *` or `void *`
local function malloc(size, ctype, data)
  local kind = ctype and kind_of("malloc", ctype)
  local bytes = extent("malloc", "size", size, kind and kind.bytes or 1)
  local source, length
  if data then
    source, length = readable("malloc", data, bytes)
  end
  local memory = C.loft_map(bytes, C.LOFT_SHARED)
  if memory == nil then
    error(("mmapfile.malloc: Error: %s"):format(ffi.string(C.loft_last_error())))
  end
  if source then
    ffi.copy(memory, ffi.cast("const void *", source), length)
  end
  return kind and ffi.cast(kind.pointer, memory) or memory
end

--- The mapping of a file that is there already behind a symbolic link, which loft_create does not follow.
local function create_through_link(name, bytes)
  return C.loft_open(name, C.LOFT_WRITE + C.LOFT_GROW, 0, bytes, nil)
end

local function create_mapping(name, bytes, source, length)
  if source and length == bytes then
    -- By writes and not by stores: a full disk is then an error, not a signal.
    return C.loft_create_from(name, ffi.cast("const void *", source), bytes, C.LOFT_KEEP), true
  end
  return C.loft_create(name, bytes, C.LOFT_KEEP), false
end

--- Creates a file, or takes one that is there (it stays as it is, and grows if it is too short), and maps it
-- for writing.
-- @param name
-- @param size how many of `ctype`; without it, bytes; 0 is fine
-- @param[opt] ctype
-- @param[opt] data as for @{malloc}
-- @return a pointer, `ctype *` or `void *`
-- @raise `mmapfile.create: Error creating 'NAME': TEXT`, TEXT being the system's
local function create(name, size, ctype, data)
  local is_name = check_name("create", name)
  local kind = ctype and kind_of("create", ctype)
  local bytes = extent("create", "size", size, kind and kind.bytes or 1)
  local source, length
  if data then
    source, length = readable("create", data, bytes)
  end
  if not is_name then
    error(("mmapfile.create: Error creating '%s': a NUL in the name"):format(name))
  end
  local memory, is_filled = create_mapping(name, bytes, source, length)
  if memory == nil then
    local text = reason("create", name)
    memory = text == "is a symbolic link" and create_through_link(name, bytes) or nil
    if memory == nil then
      error(("mmapfile.create: Error creating '%s': %s"):format(name, text))
    end
    is_filled = false
  end
  if source and not is_filled then
    ffi.copy(memory, ffi.cast("const void *", source), length)
  end
  return kind and ffi.cast(kind.pointer, memory) or memory
end

local mapped = ffi.new("size_t[1]")

--- Maps a file, or a part of it.
-- @param name
-- @param[opt] ctype
-- @param[opt="r"] mode `"r"` or `"rw"`
-- @param[opt] size how many of `ctype`; without it, bytes. Default: to the end
-- @param[opt=0] offset in bytes, any
-- @return a pointer, `ctype *` or `void *`; and how many of `ctype` there are, whole ones, or how many bytes
-- @return nil and `unknown read/write mode`, if it is that
-- @raise `mmapfile.open: Error opening NAME: TEXT`, TEXT being the system's
local function open(name, ctype, mode, size, offset)
  if mode and mode ~= "r" and mode ~= "rw" then
    return nil, "unknown read/write mode"
  end
  local is_name = check_name("open", name)
  local kind = ctype and kind_of("open", ctype)
  local unit = kind and kind.bytes or 1
  local bytes = size and extent("open", "size", size, unit) or nil
  local from = offset and extent("open", "offset", offset, 1) or 0
  if not is_name then
    error(("mmapfile.open: Error opening %s: a NUL in the name"):format(name))
  end
  -- To libloft 0 bytes mean all; a window of none is a mapping of all, of which nothing may be used.
  local memory = C.loft_open(name, mode == "rw" and C.LOFT_WRITE or C.LOFT_READ, from, bytes or 0, mapped)
  if memory == nil then
    error(("mmapfile.open: Error opening %s: %s"):format(name, reason("open", name)))
  end
  local count = bytes or tonumber(mapped[0])
  if kind then
    return ffi.cast(kind.pointer, memory), math.floor(count / unit)
  end
  return memory, count
end

--- As @{malloc}, with a finaliser.
local function gcmalloc(size, ctype, data)
  return arm(malloc(size, ctype, data), C.loft_lua_free)
end

--- As @{create}, with a finaliser. The pointer may be dropped at once: the file is there with all its bytes, and is
-- written back when the collector comes by.
local function gccreate(name, size, ctype, data)
  return arm(create(name, size, ctype, data), C.loft_lua_close)
end

--- As @{open}, with a finaliser.
local function gcopen(name, ctype, mode, size, offset)
  local pointer, count = open(name, ctype, mode, size, offset)
  if pointer == nil then
    return nil, count
  end
  return arm(pointer, C.loft_lua_close), count
end

--- @export
return {
  free = free,
  malloc = malloc,
  gcmalloc = gcmalloc,
  create = create,
  gccreate = gccreate,
  open = open,
  gcopen = gcopen,
  close = close,
}
