-- inflight.lua - what processes have in hand, with the server's clock.
--
-- KEYS inflight; ARGV a field and its value to keep it ("" removes it), or none to read all: the
-- age of each in milliseconds, then its value. What nobody has renewed for a minute goes.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if #ARGV == 2 then
	if ARGV[2] == '' then
		redis.call('HDEL', KEYS[1], ARGV[1])
	else
		redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
		redis.call('EXPIRE', KEYS[1], 60)
	end
	return {}
end
local all, told = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
	local at, value = string.match(all[i + 1], '^(%d+) (.*)$')
	local age = at and now - at or 60000
	if age >= 60000 then
		redis.call('HDEL', KEYS[1], all[i])
	else
		told[#told + 1] = age
		told[#told + 1] = value
	end
end
return told
