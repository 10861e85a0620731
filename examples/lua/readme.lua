-- The way of lua-mmapfile: a typed file is written, dropped, and read back. It runs unchanged with either library.

local ffi = require "ffi"
local mmapfile = require "mmapfile"

ffi.cdef "struct point { int a; double b; };"

local points = mmapfile.gccreate("points.bin", 1, "struct point")
points.a = 1
points.b = 1.5
points = nil -- luacheck: ignore
collectgarbage() -- closes the file

local again, count = mmapfile.gcopen("points.bin", "struct point")
assert(count == 1)
assert(again.a == 1)
assert(again.b == 1.5)
print(("%d point: %d, %.1f"):format(count, again.a, again.b))
