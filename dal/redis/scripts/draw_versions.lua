-- Draws ARGV[1] versions, each different from and greater than all that were drawn before, and returns the first of them.
-- KEYS[1]: the last version drawn. The clock may stand still or go back; the versions do not.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local first = math.max(now_us, last + 1)
redis.call('SET', KEYS[1], string.format('%.0f', first + ARGV[1] - 1))
return first
