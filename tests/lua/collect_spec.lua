-- Finalisers: what closes itself, what must not be closed twice, and how processes end.

local ffi = require "ffi"
local mmapfile = require "mmapfile"
local library = require "loft.library"
local support = require "support"

local name, collect, run = support.name, support.collect, support.run

--- Whether a region of libloft begins at an address.
local function is_mapped(address)
  local info = ffi.new("loft_region_info")
  info.struct_bytes = ffi.sizeof(info)
  return library.loft_region_query(ffi.cast("void *", address), info) == 0
end

local function drop(make, ...)
  return support.address((make(...)))
end

describe("a dropped pointer", function()
  it("of gcmalloc, gccreate and gcopen is closed by the collector", function()
    local file = support.write(name(), "text")
    local where = { drop(mmapfile.gcmalloc, 10000), drop(mmapfile.gccreate, name(), 10000),
                    drop(mmapfile.gcopen, file), drop(mmapfile.gcopen, file, "const char", "rw") }
    collect()
    for _, address in ipairs(where) do
      assert.is_false(is_mapped(address))
    end
  end)

  it("of a const type is closed without an error", function()
    local output, status = run [[
      local mmapfile = require "mmapfile"
      for _ = 1, 100 do
        mmapfile.gcmalloc(4, "const volatile char", "abc")
      end
      collectgarbage()
      print "fine"]]
    assert.same({ "fine", 0 }, { output, status })
  end)

  it("stays as long as something holds it", function()
    local held = mmapfile.gcmalloc(1, "int")
    collect()
    held[0] = 5
    assert.is_true(is_mapped(support.address(held)))
  end)

  it("of gccreate may be dropped at once: gcopen sees size and data", function()
    local file = name()
    mmapfile.gccreate(file, 1000, "double", ffi.new("double[1000]", 2.5))
    local read, count = mmapfile.gcopen(file, "double")
    assert.same({ 1000, 2.5 }, { count, read[999] })
  end)

  it("of malloc stays", function()
    local address = drop(mmapfile.malloc, 10)
    collect()
    assert.is_true(is_mapped(address))
    mmapfile.free(ffi.cast("void *", address))
  end)
end)

describe("an explicit close", function()
  --- Closes, lets something else take the place, collects: it must still be there.
  local function check(make, close, through)
    local first = make()
    local address = support.address(first)
    close(through(first))
    local others = {}
    for i = 1, 64 do
      others[i] = make()
      if support.address(others[i]) == address then
        break
      end
    end
    first = nil -- luacheck: ignore
    collect()
    for _, other in ipairs(others) do
      assert.is_true(is_mapped(support.address(other)))
      close(other)
    end
  end

  local function same(pointer) return pointer end
  local function cast(pointer) return ffi.cast("char *", pointer) end

  it("disarms the finaliser, also that of the pointer it is a cast of", function()
    local file = support.write(name(), ("x"):rep(4096))
    for _, through in ipairs { same, cast } do
      check(function() return mmapfile.gcmalloc(4096, "int") end, mmapfile.free, through)
      check(function() return mmapfile.gcopen(file, "int") end, mmapfile.close, through)
      check(function() return mmapfile.gccreate(file, 1024, "int") end, mmapfile.close, through)
    end
  end)

  it("disarms a finaliser that the program attached", function()
    local output, status = run [[
      local ffi, mmapfile = require "ffi", require "mmapfile"
      local pointer = ffi.gc(mmapfile.malloc(10), mmapfile.free)
      mmapfile.free(pointer)
      pointer = nil
      collectgarbage()
      print "fine"]]
    assert.same({ "fine", 0 }, { output, status })
  end)

  it("of another state's or a foreign pointer's finaliser is no harm: the address is unknown", function()
    local output, status = run [[
      local ffi, C, mmapfile = require "ffi", require "loft.library", require "mmapfile"
      local pointer = mmapfile.gcmalloc(10)
      assert(C.loft_free(pointer) == 0)
      pointer = nil
      collectgarbage()
      print "fine"]]
    assert.same({ "fine", 0 }, { output, status })
  end)
end)

describe("a process", function()
  local live = [[
    local mmapfile, loft = require "mmapfile", require "loft"
    local memory = mmapfile.gcmalloc(1000, "double")
    local file = mmapfile.gccreate("at-exit", 10, "char", "0123456789")
    local plain = mmapfile.malloc(10)
    local arena = assert(loft.open "at-exit.loft")
    arena:set_root("block", arena:alloc("int"))
    memory[0], file[0], arena.keep = 1, 65, plain
  ]]

  for _, ending in ipairs { "", "os.exit(0)", "os.exit(0, true)", "arena:enter()", "arena:enter() os.exit(0, true)" } do
    it("may end with live pointers by: " .. (ending == "" and "its end" or ending), function()
      local output, status = run(live .. ending)
      assert.same({ "", 0 }, { output, status })
      assert.equal("A123456789", support.read("at-exit"))
    end)
  end

  it("may end by an error with live pointers", function()
    local output, status = run(live .. "error 'broken'")
    assert.equal(1, status)
    assert.truthy(output:find("broken", 1, true))
  end)

  it("may unload the modules before the last finaliser has run", function()
    local output, status = run [[
      local pointer = require "mmapfile".gcmalloc(10)
      for name in pairs(package.loaded) do
        if name:find "^loft" or name == "mmapfile" then package.loaded[name] = nil end
      end
      collectgarbage() collectgarbage()
      pointer = nil
      collectgarbage() collectgarbage()
      local again = require "mmapfile".gcmalloc(10)
      print "fine"]]
    assert.same({ "fine", 0 }, { output, status })
  end)

  it("may collect in any order, a thousand times", function()
    local output, status = run [[
      local mmapfile = require "mmapfile"
      local kept = {}
      for i = 1, 20000 do
        local slot = i * 7919 % 64
        if i % 3 == 0 and kept[slot] then
          mmapfile.free(kept[slot])
          kept[slot] = nil
        else
          kept[slot] = mmapfile.gcmalloc(4096, "int")
          kept[slot][1023] = i
        end
        if i % 1000 == 0 then
          collectgarbage()
          for _, pointer in pairs(kept) do pointer[0] = i end
        end
      end
      print "fine"]]
    assert.same({ "fine", 0 }, { output, status })
  end)
end)
