-- The declarations that LuaJIT has are those of the headers and of the library.

local ffi = require "ffi"
local cdef = require "loft.cdef"
local library = require "loft.library"
local support = require "support"

local compiler = os.getenv("LOFT_TEST_CC") or "cc"

local function output(command)
  local pipe = io.popen(command)
  local text = pipe:read("*a")
  pipe:close()
  return text
end

--- Every struct of the declarations with its fields.
local function structs()
  local found = {}
  for struct, body in cdef.text:gmatch("typedef struct ([%w_]+)%s*{(.-)}") do
    found[struct] = {}
    for field in body:gmatch("([%w_]+)%s*%[?%d*%]?;") do
      table.insert(found[struct], field)
    end
  end
  return found
end

local function constants()
  local found = {}
  for body in cdef.text:gmatch("enum [%w_]*%s*{(.-)}") do
    for constant in body:gmatch("(LOFT_[%u%d_]+)") do
      found[constant] = true
    end
  end
  return found
end

--- What C and LuaJIT each say of all structs and constants, as lines.
local function c_says()
  local program = { "#include <stdio.h>\n#include <loft/loft.h>\nint main(void)\n{\n" }
  local function line(name, value)
    program[#program + 1] = ('printf("%s %%lld\\n", (long long)%s);\n'):format(name, value)
  end
  for struct, fields in pairs(structs()) do
    line(struct, ("sizeof(%s)"):format(struct))
    for _, field in ipairs(fields) do
      line(struct .. "." .. field, ("offsetof(%s, %s)"):format(struct, field))
    end
  end
  for constant in pairs(constants()) do
    line(constant, constant)
  end
  program[#program + 1] = "return 0;\n}\n"
  local source = support.write("layout.c", table.concat(program))
  return output(("%s -I %s/include -o layout %s 2>&1 && ./layout"):format(compiler, support.source, source))
end

local function lua_says()
  local said = {}
  for struct, fields in pairs(structs()) do
    said[struct] = ffi.sizeof(struct)
    for _, field in ipairs(fields) do
      said[struct .. "." .. field] = ffi.offsetof(struct, field)
    end
  end
  for constant in pairs(constants()) do
    said[constant] = tonumber(library[constant])
  end
  return said
end

describe("the declarations", function()
  it("give every struct, field and constant the place and value that C gives them", function()
    local expected, count = {}, 0
    for name, value in c_says():gmatch("(%S+) (%-?%d+)\n") do
      expected[name] = tonumber(value)
      count = count + 1
    end
    assert.is_true(count > 150)
    assert.same(expected, lua_says())
  end)

  it("name every function that the library exports", function()
    local exported = 0
    for name in output("nm -D --defined-only " .. os.getenv("LOFT_TEST_LIBRARY")):gmatch(" T (loft_[%w_]+)") do
      exported = exported + 1
      assert(cdef.text:find("[%s*]" .. name .. "%("), name .. " is not declared")
    end
    assert.is_true(exported > 50)
  end)

  it("name no function that the library lacks", function()
    local declared = 0
    for name in cdef.text:gmatch("[%s*](loft_[%w_]+)%([^*]") do
      local is_type = name:find("_fn$")
      declared = declared + 1
      assert(is_type or pcall(function() return library[name] end), name .. " is not in the library")
    end
    assert.is_true(declared > 50)
  end)

  it("are of the library's version", function()
    assert.equal(ffi.string(library.loft_version()), cdef.version)
  end)
end)

describe("the library", function()
  it("is not looked for elsewhere when LOFT_LIBRARY names it", function()
    local text, status = support.run('require "loft"', "LOFT_LIBRARY=/nowhere/libloft.so")
    assert.equal(1, status)
    assert.truthy(text:find("/nowhere/libloft.so", 1, true))
  end)

  it("of another version is refused", function()
    local source = support.write("other.c", 'const char *loft_version(void);\n' ..
      'const char *loft_version(void) { return "77.1.0"; }\n')
    assert.equal("", output(("%s -shared -fPIC -o other.so %s 2>&1"):format(compiler, source)))
    local text, status = support.run('require "mmapfile"', "LOFT_LIBRARY=./other.so")
    assert.equal(1, status)
    assert.truthy(text:find("libloft is version 77.1.0, these Lua files are of version " .. cdef.version, 1, true))
  end)

  it("has a binding that is loaded twice in a state", function()
    local text, status = support.run [[
      local first = require "loft"
      for name in pairs(package.loaded) do
        if name:find "^loft" then package.loaded[name] = nil end
      end
      local second = require "loft"
      assert(first ~= second)
      assert(assert(second.anonymous()):close())
      print "fine"]]
    assert.same({ "fine", 0 }, { text, status })
  end)
end)
