--- mmapfile beside the system calls that lua-mmapfile makes, through LuaJIT's FFI; and lua-mmapfile itself, if it is there.
--
--   bench/lua/run regions [ROUNDS]
--
-- A round measures each competitor once; printed are medians over the rounds of processor time of this thread, and the
-- ratio of medians. Nanoseconds a pair.
--
--   calls     the system calls of lua-mmapfile and nothing else: mmap, munmap (shared memory); open, fstat, mmap, msync,
--             munmap, close
--   steps     the same calls with what lua-mmapfile does between them: flags read from strings, the address as a string
--             for a key, descriptor objects. What is measured here is a program with these steps, not lua-mmapfile
--   ancestor  lua-mmapfile itself, with ljsyscall, when LOFT_ANCESTOR names folders with both (as LUA_PATH does)
--   mmapfile  the drop-in

local ffi = require "ffi"
local measure = require "measure"
local mmapfile = require "mmapfile"

ffi.cdef [[
void *loft_bench_mmap(void *, size_t, int, int, int, long) __asm__("mmap");
int loft_bench_munmap(void *, size_t) __asm__("munmap");
int loft_bench_open(const char *, int, ...) __asm__("open");
int loft_bench_fstat(int, void *) __asm__("fstat");
int loft_bench_msync(void *, size_t, int) __asm__("msync");
int loft_bench_close(int) __asm__("close");
]]
local C = ffi.C
local PROT_READ, PROT_BOTH, MAP_SHARED, MAP_SHARED_ANONYMOUS, MS_SYNC = 1, 3, 1, 0x21, 4
local hint = ffi.cast("void *", 2 ^ 32)
local stat = ffi.new("char[256]")
local MEMORY_BYTES, FILE_BYTES = 65536, 4096

local flag_values = { read = 1, write = 2, anon = 0x20, shared = 1, file = 0, sync = 4 }

--- A list of names as a number, as ljsyscall reads them.
local function flags(text)
  local value = 0
  for name in text:gmatch("[^, ]+") do
    value = bit.bor(value, flag_values[name])
  end
  return value
end

local function above(bytes, protection, mode, file)
  local base = 2 ^ 32
  local step = 2 ^ math.floor(math.log(tonumber(bytes)) / math.log(2))
  local address
  for _ = 1, 1024 do
    address = C.loft_bench_mmap(ffi.cast("void *", base), bytes, flags(protection), flags(mode), file, 0)
    if address >= hint then
      break
    end
    C.loft_bench_munmap(address, bytes)
    base = base + step
  end
  return address
end

local function key(address)
  return tostring(ffi.cast("void *", address))
end

local known = {}
local descriptor = {}
descriptor.__index = descriptor
function descriptor:close()
  return C.loft_bench_close(self.number)
end

local memory = {
  calls = function()
    local address = C.loft_bench_mmap(hint, MEMORY_BYTES, PROT_BOTH, MAP_SHARED_ANONYMOUS, -1, 0)
    C.loft_bench_munmap(address, MEMORY_BYTES)
  end,
  steps = function()
    local address = above(MEMORY_BYTES, "read, write", "anon, shared", -1)
    known[key(address)] = MEMORY_BYTES
    C.loft_bench_munmap(address, known[key(address)])
  end,
  mmapfile = function()
    mmapfile.free(mmapfile.malloc(MEMORY_BYTES))
  end,
}

local function file_of(path)
  return {
    calls = function()
      local file = C.loft_bench_open(path, 0)
      C.loft_bench_fstat(file, stat)
      local address = C.loft_bench_mmap(hint, FILE_BYTES, PROT_READ, MAP_SHARED, file, 0)
      C.loft_bench_msync(address, FILE_BYTES, MS_SYNC)
      C.loft_bench_munmap(address, FILE_BYTES)
      C.loft_bench_close(file)
    end,
    steps = function()
      local file = setmetatable({ number = C.loft_bench_open(path, 0) }, descriptor)
      C.loft_bench_fstat(file.number, stat)
      local address = above(FILE_BYTES, "read", "file, shared", file.number)
      known[key(address)] = file
      local same = known[key(address)]
      known[key(address)] = nil
      C.loft_bench_fstat(same.number, stat)
      C.loft_bench_msync(address, FILE_BYTES, flags("sync"))
      C.loft_bench_munmap(address, FILE_BYTES)
      same:close()
    end,
    mmapfile = function()
      mmapfile.close((mmapfile.open(path)))
    end,
  }
end

local function load_ancestor()
  local folders = os.getenv("LOFT_ANCESTOR")
  if not folders then
    return nil
  end
  local path, mine = package.path, package.loaded.mmapfile
  package.path, package.loaded.mmapfile = folders .. ";" .. path, nil
  local ancestor = require "mmapfile"
  package.path, package.loaded.mmapfile = path, mine
  return ancestor
end

local rounds = tonumber(arg[1]) or 21
local path = os.getenv("LOFT_BENCH_FILE") or os.tmpname()
mmapfile.close(mmapfile.create(path, FILE_BYTES))
local file = file_of(path)
local ancestor = load_ancestor()
if ancestor then
  memory.ancestor = function() ancestor.free(ancestor.malloc(MEMORY_BYTES)) end
  file.ancestor = function() ancestor.close((ancestor.open(path))) end
end
local order = { "calls", "steps", "ancestor", "mmapfile" }
measure.compare("malloc + free, 64 KiB untouched", order, memory, rounds, 2000)
measure.compare("open + close, 4 KiB, to read", order, file, rounds, 2000)
os.remove(path)
