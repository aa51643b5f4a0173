-- Stores what MySQL said under the mark ARGV[1], and clears that mark and all before it: MySQL lets none of them commit any more.
-- KEYS[1]: the conversation. ARGV: mark, milliseconds that the key lives, then sender and newest time in ms, for both.
-- Where our own mark is missing, this Redis has lost its data, other marks among them: then nothing is known.
if redis.call('HEXISTS', KEYS[1], 'mark:' .. ARGV[1]) == 0 then
    return 0
end
for i = 3, #ARGV, 2 do
    local field = 'from:' .. ARGV[i]
    if tonumber(ARGV[i + 1]) > tonumber(redis.call('HGET', KEYS[1], field) or '0') then
        redis.call('HSET', KEYS[1], field, ARGV[i + 1])
    end
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local mark = string.match(field, '^mark:(%d+)$')
    if mark and tonumber(mark) <= tonumber(ARGV[1]) then
        redis.call('HDEL', KEYS[1], field)
    end
end
redis.call('HSET', KEYS[1], 'known', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
