-- A typed array of 6 GiB that the collector neither holds nor counts. LuaJIT's own memory ends at 2 GiB, or at 4.

local loft = require "loft"

local COUNT = 6 * 2 ^ 30 / 8

-- Only pages that are touched take memory, and the system need not promise the rest.
local array = assert(loft.map("double", COUNT, { noreserve = true }))
for i = 0, COUNT - 1, COUNT / 64 do
  array[i] = i
end
array[COUNT - 1] = -1

local sum = 0
for i = 0, COUNT - 1, COUNT / 64 do
  sum = sum + array[i]
end
assert(sum == COUNT / 64 * (63 * 64 / 2) and array[COUNT - 1] == -1)
collectgarbage()
print(("%d doubles at %s, above 4 GiB"):format(COUNT, tostring(array):match("0x%x+")))
print(("the collector counts %.0f KiB"):format(collectgarbage("count")))
