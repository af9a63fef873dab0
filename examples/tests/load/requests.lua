-- The load of the gateway: requests of several tenants to several routes, each with an id of its own.
-- Which id was sent, and when (nanoseconds since 1970), is written down before the request leaves; which one was
-- answered, when the answer is there. Both unbuffered, so that the files are complete whenever the gateway dies.

local ffi = require("ffi")
ffi.cdef([[
    typedef struct { long s; long ns; } load_time;
    int clock_gettime(int clock, load_time *time);
]])
local time = ffi.new("load_time")

local function now()
    ffi.C.clock_gettime(0, time)
    return string.format("%d%09d", tonumber(time.s), tonumber(time.ns))
end

local requests = {
    { "GET", "/v1/chat/threads?limit=10" },
    { "GET", "/v1/kpis" },
    { "POST", "/v1/chat/threads", '{"title":"a thread under load"}' },
    { "GET", "/v1/temperature/snapshots?limit=5" },
    { "GET", "/v1/chat/threads?limit=0" },
    { "GET", "/v1/no/such/route" },
}

local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

local function open(name)
    local file = assert(io.open(os.getenv("LOAD_DIRECTORY") .. "/" .. name .. "-" .. number, "w"))
    file:setvbuf("no")
    return file
end

local sent, answered, tokens, count, is_a_look

function init()
    sent, answered, tokens, count = open("sent"), open("answered"), {}, 0
    for token in os.getenv("LOAD_TOKENS"):gmatch("%S+") do
        tokens[#tokens + 1] = token
    end
    -- wrk asks the first thread for one request that it only looks at.
    is_a_look = number == 1
end

function request()
    if is_a_look then
        is_a_look = false
        return wrk.format("GET", "/")
    end
    count = count + 1
    local method, path, body = unpack(requests[count % #requests + 1])
    local id = "load-" .. number .. "-" .. count
    sent:write(id, " ", now(), "\n")
    return wrk.format(method, path, {
        ["authorization"] = "Bearer " .. tokens[count % #tokens + 1],
        ["content-type"] = "application/json",
        ["x-request-id"] = id,
    }, body)
end

function response(status, headers)
    answered:write(headers["x-request-id"] or "(no id)", " ", status, "\n")
end
