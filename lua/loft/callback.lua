--- C functions that call back into Lua: an internal part of `loft`.
--
-- LuaJIT has room for some hundred callbacks in a process' state and never frees one by itself, so there is one for
-- each kind, made when it is first needed. A Lua error must not leave a callback, as it would unwind C: it is kept,
-- the C function is stopped, and the error is raised when that has returned. The calls are not compiled, which
-- LuaJIT demands of functions that call back.
--
-- @module loft.callback

local ffi = require "ffi"
local types = require "loft.types"

local callback = {}

-- What C functions answer when a callback stopped them; no code of loft is positive.
local STOPPED = 1

local made = {}
local current = {} -- kind -> the function that this kind calls; a stack by way of `call`
local raised = {}

local function make(kind)
  made[kind] = made[kind] or ffi.cast(kind .. " *", function(_, ...)
    local well, stop = pcall(current[kind], ...)
    if not well then
      raised[kind] = { stop }
    end
    return (not well or stop) and STOPPED or 0
  end)
  return made[kind]
end

--- Calls `invoke(pointer)`, which hands the C function pointer to libloft; `fn` gets what libloft tells, and stops it
-- by a true result.
-- @return what invoke returned, and whether fn stopped it
function callback.call(kind, fn, invoke)
  local pointer, outer = make(kind), current[kind]
  local is_stopped = false
  current[kind] = function(...)
    is_stopped = not not fn(...)
    return is_stopped
  end
  jit.off(invoke)
  local well, code = pcall(invoke, pointer)
  current[kind] = outer
  local problem = raised[kind]
  raised[kind] = nil
  if problem then
    error(problem[1], 0)
  end
  if not well then
    error(code, 0)
  end
  return code, is_stopped
end
jit.off(callback.call, true)

--- Calls `invoke(pointer)`, a check, and gathers the faults that it tells.
-- @return true; or nil, message, code and the list
function callback.faults(invoke)
  local faults = {}
  local code = callback.call("loft_report_fn", function(fault)
    faults[#faults + 1] = { code = fault.code, offset = tonumber(fault.offset), text = ffi.string(fault.text) }
  end, invoke)
  if code == 0 then
    return true
  end
  local _, text = types.failure(code)
  return nil, text, code, faults
end

return callback
