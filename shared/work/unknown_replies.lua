-- unknown_replies.lua - replies that no rule knows, by their shape.
--
-- KEYS a hash and a sorted set (by when a shape was heard last); ARGV the most shapes to keep, then
-- (none: read all) shape, how often, provider, host, text. Reading gives count, first, last,
-- provider, host and text of each.

local replies, heard = KEYS[1], KEYS[2]
local now = redis.call('TIME')[1]

if #ARGV > 1 then
	local shape = ARGV[2]
	local count, first = 0, now
	local before = redis.call('HGET', replies, shape)
	if before then
		local kept = cmsgpack.unpack(before)
		count, first = kept[1], kept[2]
	end
	redis.call('HSET', replies, shape,
		cmsgpack.pack({ count + tonumber(ARGV[3]), first, now, ARGV[4], ARGV[5], ARGV[6] }))
	redis.call('ZADD', heard, now, shape)
	local over = redis.call('ZCARD', heard) - tonumber(ARGV[1])
	if over > 0 then
		for _, old in ipairs(redis.call('ZRANGE', heard, 0, over - 1)) do
			redis.call('HDEL', replies, old)
			redis.call('ZREM', heard, old)
		end
	end
	redis.call('EXPIRE', replies, 2592000)
	redis.call('EXPIRE', heard, 2592000)
	return {}
end
local all = {}
for _, value in ipairs(redis.call('HVALS', replies)) do
	local kept = cmsgpack.unpack(value)
	for i = 1, 6 do
		all[#all + 1] = tostring(kept[i])
	end
end
return all
