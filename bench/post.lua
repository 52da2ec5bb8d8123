-- wrk script: sends the requests that gen_events wrote, one after the other, and reports one JSON line.
--
--   EVENTS=requests.bin FIRST=0 COUNT=n wrk -t1 ... -s post.lua http://127.0.0.1:PORT
--
-- FIRST and COUNT choose the requests, so that a warm-up and each measured run use different ones.
-- There is no response() function, as the generator must not be what is measured; wrk itself counts
-- the answers above 399, and none of the servers ever answers 1xx or 3xx. Use -t1: every thread
-- would start with the same first request.

local ffi = require "ffi"

local data, base, size, first, count
local position = 0
wraps = 0 -- global: done() runs in another Lua state and reads it through the thread
local thread

function setup(t) thread = t end

function init()
  local file = assert(io.open(assert(os.getenv("EVENTS"), "EVENTS is not set"), "rb"))
  data = file:read("*a")
  file:close()
  local head_end = assert(select(2, data:find("\r\n\r\n", 1, true)), "EVENTS has no requests")
  size = head_end + tonumber(data:match("Content%-Length: (%d+)"))
  base = ffi.cast("const char *", data)
  first = tonumber(os.getenv("FIRST") or 0)
  count = tonumber(os.getenv("COUNT") or #data / size)
  assert((first + count) * size <= #data, "EVENTS has fewer requests than FIRST + COUNT")
end

function request()
  if position == count then
    position, wraps = 0, wraps + 1
  end
  position = position + 1
  return ffi.string(base + (first + position - 1) * size, size)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"rps":%.0f,"p50_us":%d,"p99_us":%d,"non_2xx":%d,' ..
    '"socket_errors":%d,"wraps":%d}\n',
    summary.requests, summary.requests * 1e6 / summary.duration, latency:percentile(50),
    latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, thread:get("wraps")))
end
