-- Strings in a file.

local string_list = require "mmapfile.string_list"
local support = require "support"

local function written(...)
  local list, file = string_list:new(), support.name("strings")
  for _, text in ipairs { ... } do
    list:add(text)
  end
  list:write(file)
  return list, file
end

describe("string_list", function()
  it("reads back every string at its offset", function()
    local list, file = written("pear", "apple", "", "fig", "apple", "zwetschge ö")
    local read = string_list.read(file)
    for _, text in ipairs { "pear", "apple", "", "fig", "zwetschge ö" } do
      assert.equal(text, read:get(list:offset(text)))
    end
    assert.is_nil(list:offset("grape"))
    assert.same({ 5, 29 }, { list.count, list.size })
  end)

  it("keeps them sorted in the file, each with a NUL", function()
    local _, file = written("c", "a", "b")
    assert.equal("a\0b\0c\0", support.read(file))
  end)

  it("gives the mapping, which may be dropped", function()
    local list = string_list:new()
    list:add "one"
    local file = support.name("strings")
    assert.equal(("o"):byte(), list:write(file)[0])
    support.collect()
    assert.equal("one", string_list.read(file):get(0))
  end)

  it("may be empty", function()
    local list, file = written()
    assert.equal(0, list.size)
    assert.is_false(pcall(function() return string_list.read(file):get(0) end))
  end)

  it("holds many", function()
    local list, file = string_list:new(), support.name("strings")
    for i = 1, 20000 do
      list:add(("string %d"):format(i * 7919 % 20011))
    end
    list:write(file)
    local read = string_list.read(file)
    for i = 1, 20000, 37 do
      local text = ("string %d"):format(i * 7919 % 20011)
      assert.equal(text, read:get(list:offset(text)))
    end
  end)

  it("does not read beyond the file", function()
    local _, file = written("abc")
    local read = string_list.read(file)
    for _, at in ipairs { -1, 4, 1e18, 0 / 0 } do
      assert.is_false(pcall(read.get, read, at))
    end
    local cut = string_list.read(support.write(support.name(), "no end"))
    assert.is_false(pcall(cut.get, cut, 0))
  end)

  it("raises what mmapfile raises", function()
    assert.equal("mmapfile.open: Error opening nothing: No such file or directory",
                 support.message(string_list.read, "nothing"))
    assert.is_false(pcall(string_list.add, string_list:new(), nil))
  end)
end)
