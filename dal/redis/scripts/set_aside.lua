#!lua flags=allow-oom
-- Moves one pending action to where a person looks after it, unless a newer one has taken its place.
-- KEYS: pending set, w, what its user has pending, the hash of what is aside. ARGV: member, target, value, reason.
if redis.call('GET', KEYS[2]) ~= ARGV[3] then
    return 0
end
redis.call('HSET', KEYS[4], ARGV[1], ARGV[3] .. '::' .. ARGV[4])
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[2])
return 1
