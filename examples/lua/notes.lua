-- A list of notes, one more in each run; the last line of a run is never committed.

local ffi = require "ffi"
local loft = require "loft"

ffi.cdef "struct note { struct note *next; int number; };"

local arena = assert(loft.open "notes.loft")
local newest = arena:root("newest", "struct note")
local note = newest
while note and note ~= nil do
  print(("found note %d"):format(note.number))
  note = note.next
end

local fresh = assert(arena:alloc "struct note")
assert(arena:transaction(function()
  fresh.next = newest
  fresh.number = newest and newest.number + 1 or 1
  assert(arena:set_root("newest", fresh))
end))
print(("committed note %d"):format(fresh.number))
fresh.number = 999
assert(arena:abandon())
