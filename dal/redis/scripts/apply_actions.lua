-- Makes actions of one partition pending, unless the same or a newer one is known; returns how many were new.
-- KEYS: the partition's pending set, then for each action: r, w, what its user has pending.
-- ARGV: milliseconds that r lives, then for each action: member, target, version, value.
local function version_of(value)
    return value and tonumber(string.match(value, '^%d+')) or 0
end

local applied = 0
for i = 0, (#KEYS - 1) / 3 - 1 do
    local r, w, mine = KEYS[3 * i + 2], KEYS[3 * i + 3], KEYS[3 * i + 4]
    local member, target, version, value = unpack(ARGV, 4 * i + 2, 4 * i + 5)
    local known = math.max(version_of(redis.call('GET', r)), version_of(redis.call('GET', w)))
    if tonumber(version) > known then
        redis.call('SET', w, value)
        redis.call('SET', r, value, 'PX', ARGV[1])
        redis.call('ZADD', KEYS[1], version, member)
        redis.call('HSET', mine, target, value)
        applied = applied + 1
    end
end
return applied
