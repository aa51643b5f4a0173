-- Ends a send: raises the sender's newest time, never lowers it, and clears the mark.
-- KEYS: the conversation, when anybody last sent in its partition. ARGV: mark, sender, time of the message in ms, milliseconds that the
-- conversation lives, milliseconds that the partition's time lives.
local field = 'from:' .. ARGV[2]
if tonumber(ARGV[3]) > tonumber(redis.call('HGET', KEYS[1], field) or '0') then
    redis.call('HSET', KEYS[1], field, ARGV[3])
end
redis.call('HDEL', KEYS[1], 'mark:' .. ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local time = redis.call('TIME')
redis.call('SET', KEYS[2], string.format('%.0f', time[1] * 1000000 + time[2]), 'PX', ARGV[5])
return 1
