-- Whole programs, each in a process of its own: one in the manner of lua-mmapfile's users, and the examples.

local support = require "support"

--- Runs an example in the test's folder.
local function example(file)
  return support.run(("dofile %q"):format(support.source .. "/examples/lua/" .. file))
end

-- It uses what lua-mmapfile has and nothing else.
local written_for_lua_mmapfile = [==[
  local ffi = require "ffi"
  local mmapfile = require "mmapfile"
  local string_list = require "mmapfile.string_list"
  ffi.cdef [[
    typedef struct { double min[2], max[2]; uint32_t first, count; } node_t;
    typedef struct { uint32_t name; float x, y; } item_t;
  ]]

  -- Writing: typed arrays that are filled and dropped, the strings' offsets in the items.
  local names = string_list:new()
  for i = 1, 1000 do names:add(("item %d"):format(i)) end
  names:write "names"
  local items = mmapfile.gccreate("items", 1000, "item_t")
  for i = 0, 999 do
    items[i].name = names:offset(("item %d"):format(i + 1))
    items[i].x, items[i].y = i, -i
  end
  local node = ffi.new("node_t[1]")
  node[0].max[1], node[0].count = 1000, 1000
  mmapfile.gccreate("nodes", 1, "node_t", node)
  mmapfile.gccreate("leaves", 0, "node_t")
  items, names = nil, nil
  collectgarbage()

  -- Reading.
  local items, count = mmapfile.gcopen("items", "item_t")
  assert(count == 1000 and items[999].x == 999)
  local nodes, node_count = mmapfile.gcopen("nodes", "node_t", "r")
  assert(node_count == 1 and nodes[0].count == 1000 and nodes.max[1] == 1000)
  local _, leaf_count = mmapfile.gcopen("leaves", "node_t")
  assert(leaf_count == 0)
  local texts = string_list.read "names"
  for i = 0, 999 do assert(texts:get(items[i].name) == ("item %d"):format(i + 1)) end

  -- Windows of one file, written through.
  local all = mmapfile.open("items", "item_t", "rw")
  for page = 0, 1 do
    local window, size = mmapfile.open("items", "char", "rw", 4096, page * 4096)
    assert(size == 4096)
    window[0] = page
    mmapfile.close(window)
  end
  assert(ffi.cast("char *", all)[4096] == 1)
  mmapfile.close(all)

  -- Scratch memory, explicit and collected.
  local scratch = mmapfile.malloc(1000, "double")
  local sorted = mmapfile.gcmalloc(1000, "double", scratch)
  mmapfile.free(scratch)
  assert(sorted[999] == 0)
  assert(not pcall(mmapfile.close, sorted))
  print "done"]==]

describe("a program", function()
  it("written for lua-mmapfile runs unchanged", function()
    for _ = 1, 2 do -- the second time over the files of the first
      local output, status = support.run(written_for_lua_mmapfile)
      assert.same({ "done", 0 }, { output, status })
    end
  end)

  it("written for lua-mmapfile runs on its way: examples/lua/readme.lua", function()
    local output, status = example "readme.lua"
    assert.same({ "1 point: 1, 1.5", 0 }, { output, status })
  end)

  it("keeps 6 GiB outside the collector: examples/lua/bigarray.lua", function()
    local output, status = example "bigarray.lua"
    assert.equal(0, status, output)
    assert.truthy(output:find("^805306368 doubles at 0x%x+, above 4 GiB\n"))
    assert.is_true(tonumber(output:match("counts (%d+) KiB")) < 2000)
  end)

  it("finds what it committed: examples/lua/notes.lua", function()
    local expected = {}
    for i = 1, 3 do
      local output, status = example "notes.lua"
      assert.same({ table.concat(expected, "") .. ("committed note %d"):format(i), 0 }, { output, status })
      table.insert(expected, 1, ("found note %d\n"):format(i))
    end
  end)
end)
