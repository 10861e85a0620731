-- The Lua files are for LuaJIT alone; tests are written for busted.
std = "luajit"
max_line_length = 130
files["tests/lua/*_spec.lua"] = { std = "+busted" }
