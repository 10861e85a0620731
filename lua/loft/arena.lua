--- An arena, as `loft.open` gives it.
--
-- - Close it by `close`, which commits, or by `abandon`. An arena that the collector finds, or that is open when the state
--   ends, is abandoned: what was not committed is gone, as half a change must not become durable by accident.
-- - Pointers into an arena do not keep it open. Keep the arena where the program keeps the pointers.
-- - A transaction is everything between two commits of the process, not of one state or coroutine.
--
-- @classmod loft.arena

local ffi = require "ffi"
local C = require "loft.library"
local types = require "loft.types"
local callback = require "loft.callback"

local Arena = {}
Arena.__index = Arena

local typed, failure, invalid = types.typed, types.failure, types.invalid
local pointer_of = types.pointer

-- Up to here malloc and a fill are faster than calloc, whose way is longer but does not touch fresh pages. Bytes.
local FILL_MAX = 4096

-- Arenas with an open section: the collector must not end one inside it. To be in it is all.
local held = {} -- luacheck: ignore 241

function Arena.adopt(handle)
  return setmetatable({ handle = ffi.gc(handle, C.loft_arena_abandon), depth = 0 }, Arena)
end

function Arena:__tostring()
  return self.handle and ("loft arena %s"):format(tostring(self.handle)) or "loft arena (closed)"
end

local function closed()
  return invalid("the arena is closed")
end

--- true, or the failure that a code stands for.
local function answer(code)
  if code == 0 then
    return true
  end
  return failure(code)
end

--- Allocates zeroed memory.
-- @param ctype a type's name, or a ctype
-- @param[opt=1] count
-- @return `ctype *`; or nil, message, code
function Arena:alloc(ctype, count)
  local handle = self.handle
  if not handle then
    return closed()
  end
  local kind = types.kind(ctype)
  local bytes, text, code = types.extent(count or 1, kind.bytes)
  if not bytes then
    return nil, text, code
  end
  local block
  if bytes <= FILL_MAX then
    block = C.loft_arena_malloc(handle, bytes)
    if block ~= nil then
      ffi.fill(block, bytes)
    end
  else
    block = C.loft_arena_calloc(handle, 1, bytes)
  end
  if block == nil then
    return failure()
  end
  return ffi.cast(kind.pointer, block)
end

--- Copies a string into the arena, with a NUL behind it.
-- @string text
-- @return `char *`; or nil, message, code
function Arena:string(text)
  if type(text) ~= "string" then
    return invalid(("a %s is not a string"):format(type(text)))
  end
  local block, message, code = self:alloc("char", #text + 1)
  if not block then
    return nil, message, code
  end
  ffi.copy(block, text, #text)
  return block
end

-- One for all, as nothing else runs between its use and the end of that.
local cursor = types.new("loft_block")

--- Address and bytes of the block that begins at a pointer; or nil, message, code. To libloft a wrong pointer is the end
-- of the program, as to C's free; here it is looked at first: with a cursor, which goes on from where it stands.
local function block_at(handle, pointer)
  local address = pointer_of(pointer)
  if not address then
    return invalid(("%s is not a pointer"):format(tostring(pointer)))
  end
  local code = C.LOFT_ENOENT
  if C.loft_arena_of(address) == handle then
    cursor.kind = C.LOFT_BLOCK_SLAB
    cursor.address = address
    cursor.bytes = 0
    code = C.loft_arena_next_block(handle, cursor)
  end
  if code ~= 0 and code ~= C.LOFT_ENOENT then
    return failure(code)
  end
  if code ~= 0 or cursor.address ~= address or cursor.kind == C.LOFT_BLOCK_POOL then
    return invalid(("%s is not a block of this arena"):format(tostring(address)))
  end
  return address, tonumber(cursor.bytes)
end

--- Why the arena cannot be changed, if so: free has no result to tell it by. Asked by a call that fails in any arena, and
-- for this reason first.
local function check_writable(handle)
  C.loft_arena_calloc(handle, 0xffffffffffffffffULL, 16)
  if C.loft_last_code() ~= C.LOFT_EOVERFLOW then
    return failure()
  end
  return true
end

--- Frees a block.
-- @param pointer as @{alloc} gave it, or a cast of it
-- @return true; or nil, message, code: also for what is no block, or no longer
function Arena:free(pointer)
  local handle = self.handle
  if not handle then
    return closed()
  end
  local address, text, code = block_at(handle, pointer)
  if not address then
    return nil, text, code
  end
  if not self.is_writable then
    self.is_writable, text, code = check_writable(handle)
    if not self.is_writable then
      return nil, text, code
    end
  end
  C.loft_arena_free(handle, address)
  return true
end

--- The bytes of a block that may be used.
-- @return a number; or nil, message, code
function Arena:usable_size(pointer)
  local handle = self.handle
  if not handle then
    return closed()
  end
  local address, bytes, code = block_at(handle, pointer)
  if not address then
    return nil, bytes, code
  end
  return bytes
end

local function check_name(name)
  if not types.is_text(name) then
    return invalid(("'%s' cannot be a root's name"):format(tostring(name)))
  end
  return true
end

--- Names an address in the arena, so that the next program finds it.
-- @string name
-- @param pointer nil removes the name
-- @return true; or nil, message, code
function Arena:set_root(name, pointer)
  if not self.handle then
    return closed()
  end
  local fine, text, code = check_name(name)
  if not fine then
    return nil, text, code
  end
  local address = pointer_of(pointer)
  if pointer ~= nil and not address then
    return invalid(("%s is not a pointer"):format(tostring(pointer)))
  end
  return answer(C.loft_arena_set_root(self.handle, name, address))
end

--- The address that has a name.
-- @string name
-- @param[opt] ctype
-- @return `ctype *` or `void *`; or nil, message, code: `loft.ENOENT` if there is none
function Arena:root(name, ctype)
  if not self.handle then
    return closed()
  end
  local fine, text, code = check_name(name)
  if not fine then
    return nil, text, code
  end
  local pointer = C.loft_arena_root(self.handle, name)
  if pointer == nil then
    return failure()
  end
  return typed(pointer, ctype)
end

--- All roots.
-- @return a table, name to `void *`; or nil, message, code
function Arena:roots()
  local handle = self.handle
  if not handle then
    return closed()
  end
  local roots = {}
  local code = callback.call("loft_root_fn", function(name, pointer)
    roots[ffi.string(name)] = pointer
  end, function(tell)
    return C.loft_arena_each_root(handle, tell, nil)
  end)
  if code ~= 0 then
    return failure(code)
  end
  return roots
end

--- Calls a function that ends or begins a transaction; inside one's own section it would wait for itself.
local function between(self, what, invoke)
  if not self.handle then
    return closed()
  end
  if self.depth > 0 then
    return invalid(what .. " inside a mutation section")
  end
  return answer(invoke(self.handle))
end

--- Makes every change since the last commit durable, all or nothing.
-- @return true; or nil, message, code
function Arena:commit()
  return between(self, "commit", C.loft_arena_commit)
end

--- As @{commit}, without waiting for the device.
-- @return a number for @{wait}; or nil, message, code
function Arena:commit_async()
  local sequence = ffi.new("uint64_t[1]")
  local done, text, code = between(self, "commit", function(handle)
    return C.loft_arena_commit_async(handle, sequence)
  end)
  if not done then
    return nil, text, code
  end
  return tonumber(sequence[0])
end

--- Waits until commits are durable.
-- @param[opt] sequence up to this one; without it, every one that has returned
-- @return true; or nil, message, code
function Arena:wait(sequence)
  return between(self, "wait", function(handle)
    return C.loft_arena_wait(handle, sequence or 0xffffffffffffffffULL)
  end)
end

--- Drops every change since the last commit. Blocks allocated since are gone: pointers to them lead nowhere.
-- @return true; or nil, message, code
function Arena:rollback()
  return between(self, "rollback", C.loft_arena_rollback)
end

--- Applies the journal to the file. Does not commit.
-- @return true; or nil, message, code
function Arena:checkpoint()
  return between(self, "checkpoint", C.loft_arena_checkpoint)
end

--- Writes the last commit (of an anonymous arena: what is there) into a new file.
-- @string path
-- @param[opt] options a table: `replace`, `allow_remote` (booleans), `progress`, a function that is told the bytes done and
-- in total, and cancels by a true result
-- @return true; or nil, message, code
function Arena:snapshot(path, options)
  options = options or {}
  if not types.is_text(path) then
    return invalid(("'%s' is not a path"):format(tostring(path)))
  end
  local flags = (options.replace and C.LOFT_REPLACE or 0) + (options.allow_remote and C.LOFT_ALLOW_REMOTE or 0)
  if not options.progress then
    return between(self, "snapshot", function(handle)
      return C.loft_arena_snapshot(handle, path, flags, nil, nil)
    end)
  end
  return between(self, "snapshot", function(handle)
    return (callback.call("loft_progress_fn", function(done, total)
      return options.progress(tonumber(done), tonumber(total))
    end, function(tell)
      return C.loft_arena_snapshot(handle, path, flags, tell, nil)
    end))
  end)
end

local function finish(self, code)
  if code == 0 or code == C.LOFT_EPENDING then
    ffi.gc(self.handle, nil)
    self.handle = nil
  end
  return answer(code)
end

--- Commits, checkpoints and closes. If the commit fails the arena stays open: try again, or abandon it.
-- @return true; or nil, message, code; with `loft.EPENDING` it is committed and closed, but not checkpointed
function Arena:close()
  if not self.handle then
    return closed()
  end
  if self.depth > 0 then
    return invalid("close inside a mutation section")
  end
  return finish(self, C.loft_arena_close(self.handle))
end

--- Closes without committing. The file is as the last commit left it.
-- @return true; or nil, message, code
function Arena:abandon()
  if not self.handle then
    return closed()
  end
  while self.depth > 0 do
    self:leave()
  end
  return finish(self, C.loft_arena_abandon(self.handle))
end

--- Enters a mutation section of the calling thread: needed where other threads of the process commit this arena.
-- @return true; or nil, message, code
function Arena:enter()
  if not self.handle then
    return closed()
  end
  C.loft_arena_enter(self.handle)
  self.depth = self.depth + 1
  held[self] = true
  return true
end

--- Leaves it.
-- @return true; or nil, message, code
function Arena:leave()
  if not self.handle then
    return closed()
  end
  if self.depth == 0 then
    return invalid("leave without enter")
  end
  C.loft_arena_leave(self.handle)
  self.depth = self.depth - 1
  if self.depth == 0 then
    held[self] = nil
  end
  return true
end

local function pass_on(well, ...)
  if not well then
    error((...), 0)
  end
  return ...
end

local function after_section(self, ...)
  self:leave()
  return pass_on(...)
end

--- Calls a function inside a mutation section, which is left whatever the function does.
-- @param fn
-- @param ... what it gets
-- @return what it returns
function Arena:section(fn, ...)
  local entered, text, code = self:enter()
  if not entered then
    return nil, text, code
  end
  return after_section(self, pcall(fn, ...))
end

local function after_transaction(self, well, ...)
  if not well then
    self:rollback()
    error((...), 0)
  end
  local done, text, code = self:commit()
  if not done then
    return nil, text, code
  end
  return true, ...
end

--- Calls a function and commits. An error of the function rolls back everything since the last commit and is raised again.
-- @param fn
-- @param ... what it gets
-- @return true and what it returns; or nil, message, code, if the commit failed (nothing is rolled back then)
function Arena:transaction(fn, ...)
  if not self.handle then
    return closed()
  end
  return after_transaction(self, pcall(fn, ...))
end

return Arena
