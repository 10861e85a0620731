--- What the tests of the LuaJIT binding share.
--
-- The wrapper, tests/lua/run.sh, gives each run a folder of its own to work in, and in the environment: LUA_PATH,
-- LOFT_LUAJIT (the interpreter), LOFT_TEST_SOURCE (the repository), LOFT_TEST_LIBRARY (libloft), LOFT_TEST_CC.

local ffi = require "ffi"

local support = {}

pcall(ffi.cdef, [[
int loft_test_getpid(void) __asm__("getpid");
int loft_test_fork(void) __asm__("fork");
int loft_test_waitpid(int, int *, int) __asm__("waitpid");
void loft_test_exit(int) __asm__("_exit");
int loft_test_truncate(const char *, long) __asm__("truncate");
]])

support.system = ffi.C
support.luajit = os.getenv("LOFT_LUAJIT") or "luajit"
support.source = os.getenv("LOFT_TEST_SOURCE") or "."

--- A name in the test's folder that no other test uses; nothing is there.
local count = 0
function support.name(kind)
  count = count + 1
  local name = ("%s-%d"):format(kind or "file", count)
  os.remove(name)
  return name
end

function support.write(name, text)
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
  return name
end

function support.read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function support.exists(name)
  local file = io.open(name, "rb")
  return file ~= nil and file:close()
end

function support.collect()
  collectgarbage()
  collectgarbage()
end

--- How many descriptors the process has open.
function support.descriptors()
  -- Not by a pipe, of which both ends would be there for a moment.
  os.execute("ls /proc/" .. ffi.C.loft_test_getpid() .. "/fd >descriptors")
  local names = support.read("descriptors")
  return select(2, names:gsub("\n", ""))
end

--- Runs a Lua program in a process of its own.
-- @return its output and errors, and its exit status as the shell tells it: 128 and more for a signal
function support.run(program, shell)
  local script = support.write(support.name("program"), program)
  local command = ("(%s exec %s %s) 2>&1; s=$?; echo; echo $s"):format(shell or "", support.luajit, script)
  local pipe = io.popen(("{ %s; } 2>/dev/null"):format(command))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)\n(%d+)\n$")
  return (output:gsub("\n$", "")), tonumber(status)
end

--- The message of an error, without the place where it was raised.
function support.message(fn, ...)
  local well, message = pcall(fn, ...)
  assert(not well, "there was no error")
  return (tostring(message):gsub("^[^\n]-%.lua:%d+: ", "", 1))
end

function support.address(pointer)
  return tonumber(ffi.cast("intptr_t", pointer))
end

return support
