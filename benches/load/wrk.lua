-- wrk's side of the load. Arguments: the Host field, "get" or "upload", and how many further hosts to ask for in turn.
local hosts, turn = {}, 0

function init(args)
    wrk.headers["Host"] = args[1]
    if args[2] == "upload" then
        wrk.method = "POST"
        wrk.body = string.rep("u", 1048576)
    end
    for index = 0, tonumber(args[3] or "0") - 1 do
        hosts[index] = wrk.format(nil, nil, { Host = "n" .. index .. "." .. args[1] })
    end
    single = wrk.format()
    request = function()
        if #hosts == 0 then return single end
        turn = (turn + 1) % (#hosts + 1)
        return hosts[turn]
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        'RESULT {"requests": %d, "seconds": %f, "errors": %d, "p50_us": %f, "p99_us": %f}',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
