-- The drop-in for lua-mmapfile: what its users rely on.

local ffi = require "ffi"
local mmapfile = require "mmapfile"
local support = require "support"

local name, message, address = support.name, support.message, support.address
local GIB4 = 2 ^ 32

pcall(ffi.cdef, "struct loft_test_pair { int a; double b; };")

describe("the module", function()
  it("has these eight functions and nothing else", function()
    local names = {}
    for key, value in pairs(mmapfile) do
      assert.equal("function", type(value))
      names[#names + 1] = key
    end
    table.sort(names)
    assert.same({ "close", "create", "free", "gccreate", "gcmalloc", "gcopen", "malloc", "open" }, names)
  end)
end)

describe("malloc", function()
  it("gives void * without a type, and that type's pointer with one", function()
    local plain, typed = mmapfile.malloc(100), mmapfile.malloc(100, "double")
    assert.equal("ctype<void *>", tostring(ffi.typeof(plain)))
    assert.is_true(ffi.istype("double *", typed))
    mmapfile.free(plain)
    mmapfile.free(typed)
  end)

  it("counts in units of the type and zeroes all of it", function()
    local array = mmapfile.malloc(1000, "double")
    for i = 0, 999 do
      assert(array[i] == 0)
      array[i] = i
    end
    assert.equal(999, array[999])
    mmapfile.free(array)
  end)

  it("takes ctypes, structs and arrays as types", function()
    local pair = mmapfile.malloc(2, ffi.typeof("struct loft_test_pair"))
    pair[1].b = 1.5
    assert.equal(1.5, pair[1].b)
    mmapfile.free(pair)
    local rows = mmapfile.malloc(2, "int[4]")
    rows[1][3] = 7
    assert.equal(7, ffi.cast("int *", rows)[7])
    mmapfile.free(rows)
  end)

  it("copies data: a pointer's, a string's, a read-only mapping's", function()
    local first = mmapfile.malloc(4, "int", ffi.new("int[4]", 1, 2, 3, 4))
    local second = mmapfile.malloc(4, "int", first)
    assert.equal(4, second[3])
    local file = support.write(name(), "mapped")
    local mapped = mmapfile.open(file, "char")
    local third = mmapfile.malloc(6, "char", mapped)
    assert.equal("mapped", ffi.string(third, 6))
    local fourth = mmapfile.malloc(5, nil, "bytes")
    assert.equal("bytes", ffi.string(fourth, 5))
    mmapfile.close(mapped)
    for _, pointer in ipairs { first, second, third, fourth } do
      mmapfile.free(pointer)
    end
  end)

  it("copies no more than there is of a string, an array or a mapping", function()
    local short = mmapfile.malloc(100000, "char", "ab")
    assert.equal("ab", ffi.string(short))
    local array = mmapfile.malloc(4, "int", ffi.new("int[2]", 7, 8))
    assert.same({ 7, 8, 0, 0 }, { array[0], array[1], array[2], array[3] })
    local block = mmapfile.malloc(4096)
    local longer = mmapfile.malloc(2 ^ 20, nil, ffi.cast("char *", block) + 4000)
    for _, pointer in ipairs { short, array, block, longer } do
      mmapfile.free(pointer)
    end
  end)

  it("is shared with forked children", function()
    local shared = mmapfile.malloc(1, "int")
    local child = support.system.loft_test_fork()
    if child == 0 then
      shared[0] = 42
      support.system.loft_test_exit(0)
    end
    support.system.loft_test_waitpid(child, nil, 0)
    assert.equal(42, shared[0])
    mmapfile.free(shared)
  end)

  it("gives something that can be freed for a size of 0", function()
    local one, two = mmapfile.malloc(0), mmapfile.malloc(0, "double")
    assert.is_true(one ~= nil and one ~= ffi.cast("void *", two))
    mmapfile.free(one)
    mmapfile.free(two)
  end)

  it("holds thousands of blocks, all above 4 GiB", function()
    local blocks = {}
    for i = 1, 5000 do
      blocks[i] = mmapfile.malloc(4096)
      assert(address(blocks[i]) >= GIB4)
    end
    for i = 1, 5000 do
      mmapfile.free(blocks[i])
    end
  end)

  it("gives 20 times 5 GiB at once", function()
    local blocks = {}
    for i = 1, 20 do
      blocks[i] = mmapfile.malloc(5 * 2 ^ 27, "double")
      blocks[i][5 * 2 ^ 27 - 1] = i
      assert(address(blocks[i]) >= GIB4)
    end
    for i = 1, 20 do
      assert.equal(i, blocks[i][5 * 2 ^ 27 - 1])
      mmapfile.free(blocks[i])
    end
  end)
end)

describe("create and open", function()
  it("return what they promise, nothing for close and free", function()
    local file = name()
    local array = mmapfile.create(file, 10, "uint32_t")
    assert.is_true(address(array) >= GIB4)
    for i = 0, 9 do
      array[i] = i * i
    end
    assert.equal(0, select("#", mmapfile.close(array)))
    local again, count = mmapfile.open(file, "uint32_t")
    assert.is_true(ffi.istype("uint32_t *", again))
    assert.equal("number", type(count))
    assert.equal(10, count)
    assert.equal(81, again[9])
    mmapfile.close(again)
    local bytes, length = mmapfile.open(file)
    assert.equal("ctype<void *>", tostring(ffi.typeof(bytes)))
    assert.equal(40, length)
    mmapfile.close(bytes)
  end)

  it("make files of mode 0644 less the umask", function()
    local file = name()
    mmapfile.close(mmapfile.create(file, 1))
    local pipe = io.popen("umask; stat -c %a " .. file)
    local umask, mode = pipe:read("*l", "*l")
    pipe:close()
    assert.equal(bit.band(tonumber("644", 8), bit.bnot(tonumber(umask, 8))), tonumber(mode, 8))
  end)

  it("write data into the file", function()
    local file = name()
    mmapfile.close(mmapfile.create(file, 3, "int", ffi.new("int[3]", 5, 6, 7)))
    local text = name()
    mmapfile.close(mmapfile.create(text, 4, nil, "text"))
    assert.equal("text", support.read(text))
    local back, count = mmapfile.open(file, "int")
    assert.same({ 3, 5, 7 }, { count, back[0], back[2] })
    mmapfile.close(back)
  end)

  it("reuse a file that is there: a longer one stays, a shorter one grows", function()
    local file = support.write(name(), ("x"):rep(10000))
    local start = mmapfile.create(file, 10, "char")
    assert.equal("xxxxxxxxxx", ffi.string(start, 10))
    start[0] = 65
    mmapfile.close(start)
    assert.equal("A" .. ("x"):rep(9999), support.read(file))
    mmapfile.close(mmapfile.create(file, 20000, "char"))
    assert.equal(20000, #support.read(file))
  end)

  it("follow a symbolic link", function()
    local file, link = support.write(name(), "target"), name("link")
    os.execute(("ln -s %s %s"):format(file, link))
    local start = mmapfile.create(link, 8, "char")
    start[0] = 84
    mmapfile.close(start)
    assert.equal("Target\0\0", support.read(file))
    local read, count = mmapfile.open(link, "char")
    assert.equal(8, count)
    mmapfile.close(read)
  end)

  it("write with rw and not with r", function()
    local file = support.write(name(), "abcd")
    local start = mmapfile.open(file, "char", "rw")
    start[1] = 66
    mmapfile.close(start)
    assert.equal("aBcd", support.read(file))
    local _, status = support.run(([[
      local p = require "mmapfile".open(%q, "char")
      p[0] = 1]]):format(file))
    assert.equal(128 + 11, status)
  end)

  it("count whole items only", function()
    local read, count = mmapfile.open(support.write(name(), ("x"):rep(21)), "double")
    assert.equal(2, count)
    mmapfile.close(read)
  end)

  it("know files of 0 bytes and of 1, of which an item is more", function()
    local file = name()
    local empty = mmapfile.create(file, 0, "double")
    assert.is_true(empty ~= nil)
    mmapfile.close(empty)
    for _, there in ipairs { file, support.write(name(), ""), support.write(name(), "\0") } do
      local pointer, count = mmapfile.open(there, "double")
      assert.is_true(pointer ~= nil)
      assert.equal(0, count)
      mmapfile.close(pointer)
    end
  end)

  it("take names that are not ASCII", function()
    local file = name("Ω-файл-文")
    mmapfile.close(mmapfile.create(file, 2, nil, "ok"))
    assert.equal("ok", support.read(file))
    local read, count = mmapfile.open(file)
    assert.equal(2, count)
    mmapfile.close(read)
  end)

  it("keep no descriptor", function()
    local before = support.descriptors()
    local file = name()
    local made, read = mmapfile.create(file, 10), mmapfile.open(file)
    assert.equal(before, support.descriptors())
    mmapfile.close(made)
    mmapfile.close(read)
  end)
end)

describe("windows", function()
  local file

  before_each(function()
    file = name()
    local all = mmapfile.create(file, 5000, "int")
    for i = 0, 4999 do
      all[i] = i
    end
    mmapfile.close(all)
  end)

  it("begin at any byte and have the size asked for", function()
    for _, first in ipairs { 0, 1, 7, 1024, 1025, 4990 } do
      local window, count = mmapfile.open(file, "int", "r", 10, first * 4)
      assert.same({ 10, first, first + 9 }, { count, window[0], window[9] })
      mmapfile.close(window)
    end
    local odd = mmapfile.open(file, nil, "r", 3, 5)
    assert.equal(support.read(file):sub(6, 8), ffi.string(odd, 3))
    mmapfile.close(odd)
  end)

  it("reach to the end without a size", function()
    local rest, count = mmapfile.open(file, "int", nil, nil, 4096)
    assert.same({ 5000 - 1024, 1024, 4999 }, { count, rest[0], rest[count - 1] })
    mmapfile.close(rest)
    local none, zero = mmapfile.open(file, "int", "r", nil, 20000)
    assert.equal(0, zero)
    mmapfile.close(none)
    none, zero = mmapfile.open(file, "int", "r", 0)
    assert.equal(0, zero)
    mmapfile.close(none)
  end)

  it("are closed each for itself", function()
    local windows = {}
    for i = 0, 4 do
      windows[i] = mmapfile.open(file, "int", "rw", 1000, i * 4000)
    end
    for _, i in ipairs { 2, 0, 4, 1 } do
      mmapfile.close(windows[i])
      assert.equal(3000, windows[3][0])
    end
    mmapfile.close(windows[3])
  end)

  it("can be closed when the file has grown or shrunk", function()
    local window = mmapfile.open(file, "int", "rw")
    support.system.loft_test_truncate(file, 5)
    mmapfile.close(window)
    window = mmapfile.open(file, "char", "rw")
    support.system.loft_test_truncate(file, 100000)
    mmapfile.close(window)
    assert.equal("no file open for this address", message(mmapfile.close, window))
  end)
end)
