#!lua flags=allow-oom
-- Forgets what MySQL has absorbed; a register that holds something newer stays pending. It frees memory, and so it may run when
-- there is none.
-- KEYS: the partition's pending set, then for each action: r, w, what its user has pending.
-- ARGV: milliseconds that r lives on, then for each action: member, target, value.
local settled = 0
for i = 0, (#KEYS - 1) / 3 - 1 do
    local r, w, mine = KEYS[3 * i + 2], KEYS[3 * i + 3], KEYS[3 * i + 4]
    local member, target, value = unpack(ARGV, 3 * i + 2, 3 * i + 4)
    local pending = redis.call('GET', w)
    if pending == value then
        redis.call('DEL', w)
        -- A read that began before the commit, or on a replica that lags, still finds the action here.
        redis.call('SET', r, value, 'PX', ARGV[1])
        settled = settled + 1
    end
    if pending == value or not pending then
        redis.call('ZREM', KEYS[1], member)
        redis.call('HDEL', mine, target)
    end
end
return settled
