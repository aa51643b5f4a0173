#!lua flags=allow-oom
-- Deletes an action that was set aside, unless another one has taken its place there.
-- KEYS[1]: the hash of what is aside. ARGV: member, value.
local aside = redis.call('HGET', KEYS[1], ARGV[1])
if not aside or string.sub(aside, 1, #ARGV[2] + 2) ~= ARGV[2] .. '::' then
    return 0
end
return redis.call('HDEL', KEYS[1], ARGV[1])
