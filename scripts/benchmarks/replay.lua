-- Sends the requests of a plan one after the other, from an offset on, and begins again at its end.
-- Arguments: the plan, the offset, "check" or "trust". A plan is a list of "<bytes>\n<request>".
-- With "check" every reply must say status_code 0 within its first bytes; that costs as much as sending, so few connections do it.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

local function read_plan(path)
  local plan, file = {}, assert(io.open(path, "rb"))
  while true do
    local bytes = file:read("*n")
    if not bytes then break end
    file:read(1)
    plan[#plan + 1] = file:read(bytes)
  end
  file:close()
  return plan
end

local plan, at

function init(arguments)
  plan, at = read_plan(arguments[1]), tonumber(arguments[2])
  checked, refused, example = 0, 0, ""
  if arguments[3] == "check" then response = check end
end

function request()
  at = at % #plan + 1
  return plan[at]
end

function check(status, headers, body)
  checked = checked + 1
  local fine = string.find(string.sub(body, 1, 40), '"status_code":0', 1, true)
  if status == 200 and fine then return end
  -- Others than 200 are counted by wrk itself.
  if status == 200 then refused = refused + 1 end
  example = status .. " " .. string.sub(body, 1, 160)
end

function done(summary, latency, requests)
  local checked, refused, example, errors = 0, 0, "", summary.errors
  for _, thread in ipairs(threads) do
    checked = checked + thread:get("checked")
    refused = refused + thread:get("refused")
    if thread:get("example") ~= "" then example = thread:get("example") end
  end
  local quoted = string.gsub(example, '[%c"\\]', " ")
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.3f, "p95_ms": %.3f, "p99_ms": %.3f, "longest_ms": %.3f,'
      .. ' "broken": %d, "statuses": %d, "late": %d, "checked": %d, "refused": %d, "example": "%s"}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.connect + errors.read + errors.write, errors.status, errors.timeout, checked, refused, quoted))
end
