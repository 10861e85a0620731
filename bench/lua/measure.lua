--- Time and medians for the benchmarks of the LuaJIT binding.

local ffi = require "ffi"

ffi.cdef [[
typedef struct loft_bench_time { long seconds, nanoseconds; } loft_bench_time;
int loft_bench_clock(int clock, loft_bench_time *out) __asm__("clock_gettime");
]]

local measure = {}

local CLOCK_THREAD_CPUTIME_ID = 3
local moment = ffi.new("loft_bench_time")

--- Processor time of this thread, nanoseconds.
function measure.now()
  ffi.C.loft_bench_clock(CLOCK_THREAD_CPUTIME_ID, moment)
  return tonumber(moment.seconds) * 1e9 + tonumber(moment.nanoseconds)
end

--- Nanoseconds of one call of `work` among `count`. A function of its own for each competitor, so that their compiled
-- loops do not share a trace.
function measure.maker(work, count)
  return assert(loadstring([[
    local work, count, now = ...
    return function()
      local from = now()
      for _ = 1, count do work() end
      return (now() - from) / count
    end]]))(work, count, measure.now)
end

function measure.median(values)
  table.sort(values)
  return values[math.floor(#values / 2) + 1]
end

--- Runs the competitors in turn, `rounds` times, and prints their medians; the last one is compared with the others.
-- @return name -> median
function measure.compare(title, order, works, rounds, count)
  local run, seen, medians = {}, {}, {}
  for name, work in pairs(works) do
    run[name], seen[name] = measure.maker(work, count), {}
    run[name]()
  end
  for round = 1, rounds do
    for _, name in ipairs(order) do
      if run[name] then
        seen[name][round] = run[name]()
      end
    end
  end
  io.write(title, "\n")
  for _, name in ipairs(order) do
    if run[name] then
      medians[name] = measure.median(seen[name])
    end
  end
  local last = medians[order[#order]]
  for _, name in ipairs(order) do
    if medians[name] then
      io.write(("  %-10s %8.1f ns   %s is %.2f of it\n"):format(name, medians[name], order[#order], last / medians[name]))
    end
  end
  return medians
end

return measure
