-- The requests of one measurement, one after the other: wrk … -s wrk.lua URL -- BODIES HEADERS
-- BODIES has one JSON document a line, HEADERS one header a line. Says at the end what was counted, as one line of JSON.
local requests = {}
local at = 0

function init(args)
   local headers = { ["content-type"] = "application/json" }
   for line in io.lines(args[2]) do
      local name, value = line:match("^(.-): (.*)$")
      headers[name] = value
   end
   for body in io.lines(args[1]) do
      requests[#requests + 1] = wrk.format("POST", nil, headers, body)
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      '\nRESULT {"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "cut": %d, "refused": %d, "late": %d}\n',
      summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write, errors.status, errors.timeout))
end
