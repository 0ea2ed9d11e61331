-- Sends the requests of a file (see request-file.ts) in turn, each with an id of its own, and prints what wrk measured as JSON.

local method, path, headers, bodies = "POST", "/", {}, {}
local prefix, sent = "", 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  prefix = args[2]
  method = file:read("*l")
  path = file:read("*l")
  for _ = 1, tonumber(file:read("*l")) do
    local name, value = file:read("*l"):match("^([^:]+): (.*)$")
    headers[name] = value
  end
  for index = 1, tonumber(file:read("*l")) do
    local before, after = file:read("*l"):match("^(%d+) (%d+)$")
    bodies[index] = { file:read(tonumber(before)) or "", file:read(tonumber(after)) or "" }
  end
  file:close()
end

function request()
  sent = sent + 1
  local body = bodies[(sent - 1) % #bodies + 1]
  return wrk.format(method, path, headers, body[1] .. prefix .. string.format("%010d", sent) .. body[2])
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nMEASURED {"requests":%d,"seconds":%.6f,"p50Us":%.0f,"p99Us":%.0f,"maxUs":%.0f,"badStatus":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
