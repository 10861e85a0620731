-- Arenas through Lua.

local ffi = require "ffi"
local loft = require "loft"
local support = require "support"

local name, run = support.name, support.run

pcall(ffi.cdef, "typedef struct loft_test_note { struct loft_test_note *next; int number; } loft_test_note;")

--- nil, a message and this code.
local function fails(code, ...)
  local result, message, got = ...
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal(code, got)
end

local function new(options)
  local file = name("arena")
  return assert(loft.open(file, options)), file
end

describe("loft", function()
  it("has the codes by their names", function()
    assert.same({ -1, -8, -19 }, { loft.EINVAL, loft.EBUSY, loft.EPENDING })
    assert.equal(ffi.string(loft.C.loft_version()), loft.version)
  end)

  it("opens by modes", function()
    local file = name("arena")
    fails(loft.ENOENT, loft.open(file, "r"))
    fails(loft.ENOENT, loft.open(file, { mode = "rw" }))
    assert(assert(loft.open(file, "new")):close())
    fails(loft.EEXIST, loft.open(file, "new"))
    local writer = assert(loft.open(file, "rw"))
    fails(loft.EBUSY, loft.open(file))
    assert(writer:close())
    local reader = assert(loft.open(file, "r"))
    fails(loft.EREADONLY, reader:alloc("int"))
    fails(loft.EREADONLY, reader:commit())
    assert(reader:close())
  end)

  it("refuses wrong arguments", function()
    fails(loft.EINVAL, loft.open())
    fails(loft.EINVAL, loft.open(5))
    fails(loft.EINVAL, loft.open("a\0b"))
    assert.is_false(pcall(loft.open, "x", "sideways"))
    assert.is_false(pcall(loft.open, "x", { colour = 1 }))
    assert.is_false(pcall(loft.open, "x", { durability = "some" }))
    fails(loft.EINVAL, loft.open("x", { base = 5 }))
    fails(loft.EINVAL, loft.open("."))
    fails(loft.ECORRUPT, loft.open(support.write(name(), ("no arena"):rep(10000)), "rw"))
    assert.is_false(support.exists("x"))
  end)

  it("maps arrays that the collector frees and does not count", function()
    local before = collectgarbage("count")
    local array = assert(loft.map("double", 6 * 2 ^ 27, { noreserve = true }))
    array[6 * 2 ^ 27 - 1] = 1.5
    assert.equal(1.5, array[6 * 2 ^ 27 - 1])
    assert.is_true(collectgarbage("count") - before < 100)
    fails(loft.EINVAL, loft.map("int", -1))
    fails(loft.EOVERFLOW, loft.map("double", 2 ^ 52))
    fails(loft.ENOMEM, loft.map("double", 2 ^ 49))
    assert.is_false(pcall(loft.map, "int", 1, { soft = true }))
    assert.is_false(pcall(loft.map, "nosuch", 1))
  end)
end)

describe("an arena", function()
  it("keeps structures where they were", function()
    local arena, file = new()
    local first
    for i = 1, 100 do
      local note = assert(arena:alloc "loft_test_note")
      assert(note.next == nil and note.number == 0)
      note.next, note.number = first, i
      first = note
    end
    assert(arena:set_root("notes", first))
    local where = support.address(first)
    assert(arena:close())

    arena = assert(loft.open(file))
    local note, sum = assert(arena:root("notes", "loft_test_note")), 0
    assert.equal(where, support.address(note))
    while note ~= nil do
      sum = sum + note.number
      note = note.next
    end
    assert.equal(5050, sum)
    assert(arena:close())
  end)

  it("allocates by type and count, zeroed, and by ctype", function()
    local arena = assert(loft.anonymous())
    for _, count in ipairs { 0, 1, 10, 1000, 100000 } do
      local array = assert(arena:alloc("int32_t", count))
      assert.is_true(ffi.istype("int32_t *", array))
      assert.is_true(arena:usable_size(array) >= 4 * count)
      for i = 0, count - 1 do
        assert(array[i] == 0)
        array[i] = -1
      end
      assert(arena:free(array))
    end
    local pair = assert(arena:alloc(ffi.typeof("struct { int a, b; }")))
    pair.b = 3
    assert.equal("some text", ffi.string(assert(arena:string("some text"))))
    assert(arena:check())
    assert(arena:close())
  end)

  it("refuses sizes and types that are none", function()
    local arena = assert(loft.anonymous())
    for _, count in ipairs { -1, 0.5, 0 / 0, 1 / 0, "many", {}, true } do
      assert.is_nil((arena:alloc("int", count)))
    end
    fails(loft.EINVAL, arena:alloc("int", -1LL))
    fails(loft.EOVERFLOW, arena:alloc("double", 2 ^ 53))
    fails(loft.EOVERFLOW, arena:alloc("double", 0xffffffffffffffffULL))
    fails(loft.ENOMEM, arena:alloc("double", 2 ^ 49))
    assert.is_false(pcall(arena.alloc, arena, "nosuch"))
    assert.is_false(pcall(arena.alloc, arena, "int[?]"))
    assert.is_false(pcall(arena.alloc, arena))
    fails(loft.EINVAL, arena:string(5))
    assert(arena:close())
  end)

  it("refuses to free what is no live block of it", function()
    local arena, other = assert(loft.anonymous()), assert(loft.anonymous())
    local small, large = assert(arena:alloc("int", 4)), assert(arena:alloc("char", 100000))
    local foreign = assert(other:alloc("int", 4))
    for _, wrong in ipairs { small + 1, large + 4096, foreign, ffi.new("int[4]"), 5, "text", 7LL, {}, false } do
      fails(loft.EINVAL, arena:free(wrong))
      fails(loft.EINVAL, arena:usable_size(wrong))
    end
    fails(loft.EINVAL, arena:free(nil))
    assert(arena:free(ffi.cast("const char *", small)))
    fails(loft.EINVAL, arena:free(small))
    assert(arena:free(large))
    fails(loft.EINVAL, arena:free(large))
    assert(arena:check())
    assert(arena:close())
    assert(other:close())
  end)

  it("does not free a pool's memory", function()
    local arena = assert(loft.anonymous())
    local pool = loft.C.loft_pool_create(arena.handle, 0)
    local piece = loft.C.loft_pool_malloc(pool, 10)
    fails(loft.EINVAL, arena:free(pool))
    fails(loft.EINVAL, arena:free(piece))
    assert(arena:close())
  end)

  it("says why a reader cannot free", function()
    local arena, file = new()
    assert(arena:set_root("block", assert(arena:alloc "int")))
    assert(arena:close())
    local reader = assert(loft.open(file, "r"))
    fails(loft.EREADONLY, reader:free(reader:root "block"))
    assert(reader:close())
  end)

  it("commits and rolls back", function()
    local arena, file = new()
    local value = assert(arena:alloc "int")
    value[0] = 1
    assert(arena:set_root("value", value))
    assert(arena:commit())
    value[0] = 2
    assert(arena:rollback())
    assert.equal(1, value[0])
    value[0] = 3
    assert(arena:wait(assert(arena:commit_async())))
    assert(arena:checkpoint())
    value[0] = 4
    assert(arena:abandon())
    arena = assert(loft.open(file))
    assert.equal(3, arena:root("value", "int")[0])
    assert(arena:close())
    local anonymous = assert(loft.anonymous())
    fails(loft.ENOTSUP, anonymous:commit())
    fails(loft.ENOTSUP, anonymous:rollback())
    assert(anonymous:close())
  end)

  it("runs transactions", function()
    local arena = new()
    local value = assert(arena:alloc "int")
    assert(arena:commit())
    assert.same({ true, 7, 8 }, { arena:transaction(function(a, b)
      value[0] = a
      return a, b
    end, 7, 8) })
    local _, problem = pcall(arena.transaction, arena, function()
      value[0] = 100
      error({ "mine" })
    end)
    assert.same({ "mine" }, problem)
    assert.equal(7, value[0])
    assert(arena:close())
  end)

  it("has roots", function()
    local arena = new()
    local expected = {}
    for i = 1, 50 do
      expected["root " .. i] = support.address(assert(arena:alloc "int"))
      assert(arena:set_root("root " .. i, ffi.cast("int *", expected["root " .. i])))
    end
    for _ = 1, 200 do -- often enough to be compiled, which a call that calls back must not be
      local seen = {}
      for root, pointer in pairs(assert(arena:roots())) do
        seen[root] = support.address(pointer)
      end
      assert.same(expected, seen)
    end
    assert(arena:set_root("root 1", nil))
    fails(loft.ENOENT, arena:root "root 1")
    fails(loft.ENOENT, arena:set_root("root 1", nil))
    fails(loft.ERANGE, arena:set_root("far", ffi.new("int[1]")))
    fails(loft.EINVAL, arena:set_root("", arena:alloc "int"))
    fails(loft.EINVAL, arena:set_root(5, arena:alloc "int"))
    fails(loft.EINVAL, arena:set_root("a\0b", arena:alloc "int"))
    fails(loft.EINVAL, arena:set_root("a", 5))
    fails(loft.EINVAL, arena:root())
    assert(arena:close())
  end)

  it("has mutation sections, and refuses what would wait for itself", function()
    local arena = new()
    assert.equal(9, arena:section(function(n) return n end, 9))
    assert.is_false(pcall(arena.section, arena, error, "inside"))
    fails(loft.EINVAL, arena:leave())
    assert(arena:enter())
    assert(arena:enter())
    for _, what in ipairs { "commit", "commit_async", "rollback", "checkpoint", "wait", "close" } do
      fails(loft.EINVAL, arena[what](arena))
    end
    fails(loft.EINVAL, arena:snapshot("inside"))
    assert(arena:leave())
    assert(arena:leave())
    assert(arena:commit())
    assert(arena:enter())
    assert(arena:abandon())
  end)

  it("makes snapshots", function()
    local arena = new()
    arena:set_root("value", assert(arena:alloc "int"))
    arena:root("value", "int")[0] = 11
    assert(arena:commit())
    local copy = name("copy")
    local told = 0
    assert(arena:snapshot(copy, { progress = function(done, total)
      told = told + 1
      assert(done <= total)
    end }))
    assert.is_true(told > 0)
    fails(loft.EEXIST, arena:snapshot(copy))
    assert(arena:snapshot(copy, { replace = true }))
    fails(loft.ECANCELED, arena:snapshot(copy, { replace = true, progress = function() return true end }))
    local _, problem = pcall(arena.snapshot, arena, copy, { replace = true, progress = function() error "mine" end })
    assert.truthy(tostring(problem):find("mine", 1, true))
    fails(loft.EINVAL, arena:snapshot(5))
    assert(loft.check(copy))
    assert(arena:close())
    arena = assert(loft.open(copy))
    assert.equal(11, arena:root("value", "int")[0])
    assert(arena:close())
  end)

  it("tells figures, blocks and places", function()
    local arena, file = new()
    local array = assert(arena:alloc("int", 100))
    local stats = assert(arena:stats())
    assert.equal(1, stats.live_blocks)
    assert.equal(arena:usable_size(array), stats.live_bytes)
    local blocks = {}
    for pointer, bytes in arena:blocks() do
      blocks[#blocks + 1] = { support.address(pointer), bytes }
    end
    assert.same({ { support.address(array), stats.live_bytes } }, blocks)
    local info = assert(arena:describe())
    assert.equal(info.base, info.mapped_at)
    assert.truthy(info.uuid:find("^%x+$") and #info.uuid == 32)
    local offset = assert(arena:offset(array))
    assert.equal(support.address(array) - info.mapped_at, offset)
    assert.is_true(arena:at(offset, "int") == array)
    assert.is_true(arena:resolve(array) == array)
    assert.is_nil((arena:at(2 ^ 52)))
    assert.is_nil((arena:offset(ffi.new "int[1]")))
    assert(arena:check())
    assert(arena:close())
    assert.equal(info.uuid, assert(loft.describe(file)).uuid)
    assert(loft.check(file))
    fails(loft.ENOENT, loft.describe("nothing"))
    fails(loft.ENOENT, loft.check("nothing"))
    local _, _, code, faults = loft.check(support.write(name(), ("junk"):rep(5000)))
    assert.equal(loft.ECORRUPT, code)
    assert.is_true(#faults > 0 and type(faults[1].text) == "string")
    assert(loft.salvage(file, name()))
  end)

  it("answers when it is closed", function()
    local arena = new()
    assert(arena:close())
    for method, fn in pairs(getmetatable(arena)) do
      if type(fn) == "function" and not ({ adopt = 1, __tostring = 1, blocks = 1, transaction = 1 })[method] then
        fails(loft.EINVAL, fn(arena, "int", nil))
      end
    end
    fails(loft.EINVAL, arena:transaction(error))
    assert.is_nil(arena:blocks()())
    assert.equal("loft arena (closed)", tostring(arena))
  end)

  it("is abandoned when it is collected, and can be opened again then", function()
    local arena, file = new()
    local value = assert(arena:alloc "int")
    arena:set_root("value", value)
    value[0] = 1
    assert(arena:commit())
    value[0] = 2
    arena, value = nil, nil -- luacheck: ignore
    support.collect()
    arena = assert(loft.open(file))
    assert.equal(1, arena:root("value", "int")[0])
    assert(arena:close())
  end)

  it("outlives a program that is killed", function()
    local file = name("arena")
    local _, status = run(([[
      local loft = require "loft"
      local arena = assert(loft.open %q)
      local value = assert(arena:alloc "int")
      value[0] = 5
      assert(arena:set_root("value", value))
      assert(arena:commit())
      value[0] = 999
      os.execute "kill -9 $PPID"]]):format(file))
    assert.equal(128 + 9, status)
    local arena = assert(loft.open(file))
    assert.equal(5, arena:root("value", "int")[0])
    assert(arena:close())
  end)
end)
