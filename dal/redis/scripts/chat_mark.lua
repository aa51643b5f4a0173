-- Marks a conversation and returns the mark: greater than every earlier one and than ARGV[1].
-- KEYS: the conversation, when anybody last sent in its partition. ARGV: the greatest mark that is known not to be valid any more,
-- milliseconds that the conversation lives, milliseconds that the partition's time lives.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('HGET', KEYS[1], 'mark') or '0')
local mark = math.max(now_us, last + 1, tonumber(ARGV[1]) + 1)
local text = string.format('%.0f', mark)
redis.call('HSET', KEYS[1], 'mark', text, 'mark:' .. text, string.format('%.0f', now_us))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], string.format('%.0f', now_us), 'PX', ARGV[3])
return mark
