#!lua flags=no-writes,allow-stale
-- Says how new the newest message of some senders is, so that a poll need not ask MySQL.
-- KEYS: the conversation, when anybody last sent in its partition. ARGV: microseconds after which a mark is stale, microseconds after
-- which nothing is under way any more without a mark, then the senders.
-- Returns the newest time in ms; -1 where a send is under way; -2 where the conversation must be recovered first; where nothing is known
-- of it, -3 if a send may be under way nevertheless, and else -4 minus the time of the last send in its partition.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then
    local sent_us = tonumber(redis.call('GET', KEYS[2]) or '0')
    -- abs: the clock may have gone back since.
    if sent_us > 0 and math.abs(now_us - sent_us) <= tonumber(ARGV[2]) then
        return -3
    end
    return -4 - sent_us
end
local values, marked = {}, false
for i = 1, #fields, 2 do
    values[fields[i]] = tonumber(fields[i + 1])
    if string.sub(fields[i], 1, 5) == 'mark:' then
        marked = true
        -- Recovering too early is harmless: a sender that is still alive draws a new mark.
        if math.abs(now_us - values[fields[i]]) > tonumber(ARGV[1]) then
            return -2
        end
    end
end
if marked then
    return -1
end
if not values['known'] then
    return -2
end
local latest = 0
for i = 3, #ARGV do
    latest = math.max(latest, values['from:' .. ARGV[i]] or 0)
end
return latest
