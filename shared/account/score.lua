-- score.lua - what an account's mail did, in rolling windows: one call, with the server's clock.
--
-- KEYS score:{account}; ARGV what to add to each counter (all 0: only read). Returns the counts,
-- window by window.
--
-- A window is a hash field: {number of the period, its counts, the counts of the period before}.
-- What is left of the period before counts by its share, so that a window rolls evenly and has a
-- fixed size.

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local widths = { 300, 3600, 86400, 604800 }
local kept = redis.call('HMGET', KEYS[1], unpack(widths))
local counts, changed = {}, false

for i, width in ipairs(widths) do
	local period = math.floor(now / width)
	local share = 1 - (now / width - period)
	local state = kept[i] and cjson.decode(kept[i]) or { period, {}, {} }
	if state[1] == period - 1 then
		state = { period, {}, state[2] }
	elseif state[1] < period then
		state = { period, {}, {} }
	end
	for n = 1, #ARGV do
		local add = tonumber(ARGV[n])
		changed = changed or add ~= 0
		state[2][n] = (state[2][n] or 0) + add
		state[3][n] = state[3][n] or 0
		counts[#counts + 1] = math.floor(state[2][n] + state[3][n] * share + 0.5)
	end
	kept[i] = cjson.encode(state)
end
if changed then
	for i, width in ipairs(widths) do redis.call('HSET', KEYS[1], width, kept[i]) end
	redis.call('EXPIRE', KEYS[1], 2 * widths[#widths])
end
return counts
