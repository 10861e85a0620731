-- The drop-in for lua-mmapfile: what goes wrong, said in its words; and nothing that a program hands in ends it.

local ffi = require "ffi"
local mmapfile = require "mmapfile"
local support = require "support"

local name, message = support.name, support.message
local NOT_MEMORY, NOT_FILE = "no mmapped block at this address", "no file open for this address"

describe("error texts", function()
  it("of create", function()
    assert.equal("mmapfile.create: Error creating 'nowhere/file': No such file or directory",
                 message(mmapfile.create, "nowhere/file", 10, "int"))
    assert.equal("mmapfile.create: Error creating '.': Is a directory", message(mmapfile.create, ".", 10))
    local long = ("n"):rep(300)
    assert.equal(("mmapfile.create: Error creating '%s': File name too long"):format(long),
                 message(mmapfile.create, long, 10))
    local deep = ("d/"):rep(1000) .. "file"
    assert.equal(("mmapfile.create: Error creating '%s': No such file or directory"):format(deep),
                 message(mmapfile.create, deep, 10))
    local quote = "a': b/'c"
    assert.equal(("mmapfile.create: Error creating '%s': No such file or directory"):format(quote),
                 message(mmapfile.create, quote, 10))
  end)

  it("of open", function()
    assert.equal("mmapfile.open: Error opening nothing: No such file or directory", message(mmapfile.open, "nothing"))
    assert.equal("mmapfile.open: Error opening nothing: No such file or directory",
                 message(mmapfile.gcopen, "nothing", "int", "rw"))
    local file = support.write(name(), "x")
    assert.equal(("mmapfile.open: Error opening %s/x: Not a directory"):format(file),
                 message(mmapfile.open, file .. "/x"))
  end)

  it("have a place before them, as error gives it", function()
    local _, text = pcall(mmapfile.open, "nothing")
    assert.truthy(text:find("mmapfile%.lua:%d+: mmapfile%.open: "))
  end)

  it("of a bad mode are returned", function()
    local file = support.write(name(), "x")
    for _, mode in ipairs { "w", "", "R", "r ", 5 } do
      assert.same({ nil, "unknown read/write mode" }, { mmapfile.open(file, "char", mode) })
      assert.same({ nil, "unknown read/write mode" }, { mmapfile.gcopen(file, "char", mode) })
    end
    assert.same({ nil, "unknown read/write mode" }, { mmapfile.open("nothing", "nosuch", "w") })
  end)

  it("of free and close", function()
    local memory, file = mmapfile.malloc(10), mmapfile.create(name(), 10)
    for _, wrong in ipairs { 5, 5LL, 0, "text", {}, true, ffi.new("int[4]"), ffi.cast("char *", memory) + 1 } do
      assert.equal(NOT_MEMORY, message(mmapfile.free, wrong))
      assert.equal(NOT_FILE, message(mmapfile.close, wrong))
    end
    assert.equal(NOT_MEMORY, message(mmapfile.free))
    assert.equal(NOT_FILE, message(mmapfile.close, nil))
    assert.equal(NOT_MEMORY, message(mmapfile.free, file))
    assert.equal(NOT_FILE, message(mmapfile.close, memory))
    mmapfile.free(memory)
    mmapfile.close(file)
    assert.equal(NOT_MEMORY, message(mmapfile.free, memory))
    assert.equal(NOT_FILE, message(mmapfile.close, file))
  end)
end)

pcall(ffi.cdef, "struct loft_test_unknown;")

describe("free and close", function()
  it("take a pointer of any type", function()
    mmapfile.free(ffi.cast("const struct loft_test_unknown *", mmapfile.malloc(10)))
    mmapfile.free(ffi.cast("volatile double *", mmapfile.malloc(10)))
    mmapfile.free(ffi.cast("intptr_t", mmapfile.malloc(10)))
    mmapfile.close(ffi.cast("const char *const", mmapfile.create(name(), 10)))
    mmapfile.free(mmapfile.malloc(10, "const char", "constant"))
  end)
end)

describe("sizes", function()
  it("may be doubles, 64-bit integers and strings", function()
    local file = name()
    for _, size in ipairs { 16, 16.0, 16.9, 16LL, 16ULL, "16", "0x10", ffi.new("int32_t", 16) } do
      mmapfile.free(mmapfile.malloc(size, "int"))
      mmapfile.close(mmapfile.create(file, size))
      assert.equal(16, #support.read(file))
      local pointer, count = mmapfile.open(file, "char", "r", size, 0LL)
      assert.equal(16, count)
      mmapfile.close(pointer)
    end
  end)

  it("that are none are errors, and nothing was touched", function()
    local before = support.descriptors()
    local file = name()
    local bad = { -1, -0.5, 0 / 0, 1 / 0, -1 / 0, 2 ^ 53 + 2, 2 ^ 63, 2 ^ 64, 1e300, -1LL, 0x8000000000000000ULL,
                  0xffffffffffffffffULL, "-1", "many", "", {}, true, print, ffi.new("int[2]") }
    for _, size in ipairs(bad) do
      for _, kind in ipairs { "char", "double" } do
        assert.is_false(pcall(mmapfile.malloc, size, kind))
        assert.is_false(pcall(mmapfile.gcmalloc, size, kind))
        assert.is_false(pcall(mmapfile.create, file, size, kind))
        assert.is_false(pcall(mmapfile.gccreate, file, size, kind))
      end
      assert.is_false(pcall(mmapfile.malloc, size))
      assert.is_false(pcall(mmapfile.create, file, size))
    end
    assert.is_false(pcall(mmapfile.malloc))
    assert.is_false(support.exists(file))
    support.write(file, "content")
    for _, size in ipairs(bad) do
      assert.is_false(pcall(mmapfile.open, file, "char", "r", size))
      assert.is_false(pcall(mmapfile.open, file, "char", "r", 1, size))
    end
    assert.equal("content", support.read(file))
    assert.equal(before, support.descriptors())
  end)

  it("that overflow with the type are errors", function()
    pcall(ffi.cdef, "struct loft_test_sixteen { char c[16]; };")
    for _, size in ipairs { 0x1000000000000001LL, 0x1000000000000001ULL, 2 ^ 60 + 2 ^ 10 } do
      assert.is_false(pcall(mmapfile.malloc, size, "struct loft_test_sixteen"))
      local file = name()
      assert.is_false(pcall(mmapfile.create, file, size, "struct loft_test_sixteen"))
      assert.is_false(support.exists(file))
    end
  end)

  it("that the system does not have are errors with its reason", function()
    assert.truthy(message(mmapfile.malloc, 2 ^ 50):find("out of memory or address space", 1, true))
    local file = name()
    assert.truthy(message(mmapfile.create, file, 2 ^ 50):find("mmapfile.create: Error creating '" .. file, 1, true))
    assert.is_false(support.exists(file))
  end)

  it("that the process may not have are errors with the reason", function()
    if os.getenv("LD_PRELOAD") then
      pending("a sanitizer's own memory is beyond any limit")
    end
    local output, status = support.run([[
      local well, text = pcall(require "mmapfile".malloc, 2 ^ 33)
      print(well, text)]], "ulimit -v 4000000;")
    assert.equal(0, status)
    assert.truthy(output:find("false.*memory"))
  end)
end)

describe("ranges", function()
  it("beyond the end of the file are errors", function()
    local file = support.write(name(), ("x"):rep(100))
    for _, range in ipairs { { 101, 0 }, { 1, 100 }, { nil, 101 }, { 50, 51 }, { 2 ^ 52, 2 ^ 52 } } do
      assert.is_false(pcall(mmapfile.open, file, "char", "r", range[1], range[2]))
      assert.is_false(pcall(mmapfile.open, file, "char", "rw", range[1], range[2]))
    end
    assert.equal(100, #support.read(file))
  end)
end)

describe("types", function()
  it("that do not exist or have no size are errors, and nothing was touched", function()
    local file = name()
    for _, kind in ipairs { "nosuch", "struct nosuch", "", "int[?]", "void", "int x", 5, true, {} } do
      assert.is_false(pcall(mmapfile.malloc, 1, kind))
      assert.is_false(pcall(mmapfile.create, file, 1, kind))
    end
    assert.is_false(support.exists(file))
    support.write(file, "x")
    assert.is_false(pcall(mmapfile.open, file, "nosuch"))
  end)
end)

describe("data", function()
  it("that is no memory is an error, and nothing was touched", function()
    local file = name()
    for _, data in ipairs { 5, 5LL, {}, true, print, ffi.cast("int *", 0), ffi.new("double", 1) } do
      assert.is_false(pcall(mmapfile.malloc, 1, "int", data))
      assert.is_false(pcall(mmapfile.create, file, 1, "int", data))
    end
    assert.is_false(support.exists(file))
  end)
end)

describe("names", function()
  it("that are none are errors", function()
    for _, wrong in ipairs { 5, true, {}, "", "a\0b" } do
      assert.is_false(pcall(mmapfile.create, wrong, 10))
      assert.is_false(pcall(mmapfile.open, wrong))
    end
    assert.is_false(pcall(mmapfile.create))
    assert.is_false(pcall(mmapfile.open))
    assert.is_false(support.exists("a"))
  end)

  it("of what is no regular file are errors", function()
    os.execute("mkfifo fifo 2>/dev/null")
    for _, wrong in ipairs { ".", "/dev/null", "fifo" } do
      assert.is_false(pcall(mmapfile.create, wrong, 10))
      assert.is_false(pcall(mmapfile.open, wrong))
    end
  end)

  it("of links that lead nowhere are errors", function()
    os.execute("ln -sf nowhere/at/all dangling")
    assert.is_false(pcall(mmapfile.create, "dangling", 10))
    assert.is_false(pcall(mmapfile.open, "dangling"))
  end)
end)
