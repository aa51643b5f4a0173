-- Makes an action that was set aside pending again, unless something newer is; either way it is not aside any more. Where it has gone
-- or another one has taken its place there, nothing changes.
-- KEYS: pending set, w, what its user has pending, the hash of what is aside. ARGV: member, target, version, value.
local aside = redis.call('HGET', KEYS[4], ARGV[1])
if not aside or string.sub(aside, 1, #ARGV[4] + 2) ~= ARGV[4] .. '::' then
    return 0
end
local pending = redis.call('GET', KEYS[2])
redis.call('HDEL', KEYS[4], ARGV[1])
if pending and tonumber(string.match(pending, '^%d+')) >= tonumber(ARGV[3]) then
    return 0
end
redis.call('SET', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
return 1
