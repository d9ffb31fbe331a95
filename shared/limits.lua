-- limits.lua - the limit decisions of limits.c: one call each, with the server's clock.
--
-- GCRA: a limit of N per period is a theoretical arrival time (TAT) in microseconds. Each unit
-- moves it by period/N; a unit conforms while the TAT stays within one period from now. So a full
-- allowance may go at once, and refills evenly.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local HOUR, DAY = 3600, 86400

-- Messages in flight, in the hash `flight`: n granted in this generation, less those that came to
-- their attempt; old: what was left of the one before; since: when it began. A generation is a day,
-- and the older one is forgotten. What a killed process had been granted or had not told yet stays
-- in its generation, since attempts are taken off the newer one first. So it counts for two days at
-- most, however busy the account is; and so does mail that nothing has attempted for so long.
local function flight_read(key)
	local h = redis.call('HMGET', key, 'n', 'old', 'since')
	local n, old = tonumber(h[1] or 0), tonumber(h[2] or 0)
	local since = math.min(tonumber(h[3] or time[1]), time[1])
	if time[1] - since >= 2 * DAY then
		n, old, since = 0, 0, time[1]
	elseif time[1] - since >= DAY then
		n, old, since = 0, n, since + DAY
	end
	return { n = n, old = old, since = since }
end

local function flight_add(key, flight, n)
	flight.n = flight.n + n
	if flight.n < 0 then flight.n, flight.old = 0, math.max(0, flight.old + flight.n) end
	redis.call('HSET', key, 'n', flight.n, 'old', flight.old, 'since', flight.since)
	redis.call('EXPIRE', key, 7 * DAY)
end

-- Rows waiting, as each node's sender told it.
local function flight_waiting(key)
	local waiting, all = 0, redis.call('HGETALL', key)
	for i = 1, #all, 2 do
		if all[i]:sub(1, 2) == 'w:' then waiting = waiting + all[i + 1] end
	end
	return waiting
end

-- take: KEYS gcra, flight; ARGV needed recipients, wanted messages, wanted recipients, spent
-- messages, spent recipients (negative: given back), limits (messages per hour, per day,
-- recipients per hour, per day; 0 = none), most in flight, most waiting.
-- Returns {granted messages, granted recipients, seconds to wait, which limit}.
local function take()
	local gcra, flight = KEYS[1], KEYS[2]
	local a = {}
	for i = 2, #ARGV do a[i - 1] = tonumber(ARGV[i]) end
	local need, want, want_to, spent, spent_to = a[1], a[2], a[3], a[4], a[5]
	local dims = {
		{ 'mh', HOUR, a[6], 1, spent }, { 'md', DAY, a[7], 1, spent },
		{ 'rh', HOUR, a[8], need, spent_to }, { 'rd', DAY, a[9], need, spent_to },
	}
	local counted = flight_read(flight)
	flight_add(flight, counted, spent)
	local flying = counted.n + counted.old

	local wait, which = 0, 0
	local room = { want, want, want_to, want_to }
	for i, d in ipairs(dims) do
		local period, limit = d[2] * 1000000, d[3]
		if limit > 0 then
			local unit = period / limit
			local tat = tonumber(redis.call('HGET', gcra, d[1]) or 0)
			tat = math.max(math.max(tat, now) + d[5] * unit, now)
			local free = (now + period - tat) / unit + 0.000001
			-- More recipients than the limit may go when all of it is free.
			local short = math.min(d[4], limit) - free
			if short > 0 and short * unit / 1000000 > wait then
				wait, which = math.ceil(short * unit / 1000000), i
			end
			room[i] = math.min(room[i], math.floor(free))
			d[6], d[7] = tat, unit
		end
	end
	if want > 0 and flying >= a[10] then wait, which = math.max(wait, 30), 5 end
	if want > 0 and flight_waiting(flight) >= a[11] then wait, which = math.max(wait, 300), 6 end

	local granted, granted_to = 0, 0
	if want > 0 and wait == 0 then
		granted = math.min(room[1], room[2], a[10] - flying)
		granted_to = math.max(need, math.min(room[3], room[4]))
		flight_add(flight, counted, granted)
	end
	for i, d in ipairs(dims) do
		if d[6] then
			local n = i <= 2 and granted or granted_to
			redis.call('HSET', gcra, d[1], string.format('%.3f', d[6] + n * d[7]))
		end
	end
	redis.call('EXPIRE', gcra, DAY)
	if want == 0 then wait, which = 0, 0 end
	return { granted, granted_to, wait, which }
end

-- attempted: KEYS flight; ARGV messages attempted, node, its waiting rows (-1: not said)
local function attempted()
	flight_add(KEYS[1], flight_read(KEYS[1]), 0 - ARGV[2])
	if tonumber(ARGV[4]) >= 0 then redis.call('HSET', KEYS[1], 'w:' .. ARGV[3], ARGV[4]) end
	return 0
end

-- correct: KEYS flight; ARGV the most that can be in flight. A process that was killed took with it
-- what it had been granted, and attempts it had not told yet: they would count for days.
local function correct()
	local flight, most = flight_read(KEYS[1]), tonumber(ARGV[2])
	local excess = flight.n + flight.old - most
	if excess > 0 then flight_add(KEYS[1], flight, 0 - excess) end
	return 0
end

-- nodes: KEYS nodes; ARGV id. How many shared the limits within the last minute.
local function nodes()
	redis.call('ZADD', KEYS[1], now, ARGV[2])
	redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000000)
	return redis.call('ZCARD', KEYS[1])
end

-- AUTH: KEYS failures of (address, user), failures of the user, known addresses of the user;
-- ARGV address. Hash of failures: start of the window, count, level, locked until.
local WINDOW, MONTH = 600, 30 * DAY

local function locked(key)
	local untl = tonumber(redis.call('HGET', key, 'until') or 0)
	return math.max(0, math.ceil((untl - now) / 1000000))
end

local function known(address)
	local seen = redis.call('ZSCORE', KEYS[3], address)
	return seen and tonumber(seen) > now - MONTH * 1000000
end

local function auth_allowed()
	local wait = locked(KEYS[1])
	if not known(ARGV[2]) then wait = math.max(wait, locked(KEYS[2])) end
	return wait
end

-- `most` failures in a window lock for `first` seconds, doubled each time up to `longest`.
local function failed(key, most, first, longest)
	local h = redis.call('HMGET', key, 'start', 'count', 'level')
	local start, count, level = tonumber(h[1] or 0), tonumber(h[2] or 0), tonumber(h[3] or 0)
	if now - start > WINDOW * 1000000 then start, count = now, 0 end
	count = count + 1
	if count >= most then
		local lock = math.min(first * 2 ^ level, longest)
		redis.call('HSET', key, 'until', string.format('%.0f', now + lock * 1000000))
		count, level = 0, math.min(level + 1, 20)
	end
	redis.call('HSET', key, 'start', string.format('%.0f', start), 'count', count, 'level', level)
	redis.call('EXPIRE', key, DAY)
end

local function auth_failed()
	failed(KEYS[1], 10, 60, 3600)
	if not known(ARGV[2]) then failed(KEYS[2], 20, 2, 60) end
	return 0
end

local function auth_succeeded()
	redis.call('DEL', KEYS[1])
	redis.call('ZADD', KEYS[3], now, ARGV[2])
	redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - MONTH * 1000000)
	redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -101)
	redis.call('EXPIRE', KEYS[3], MONTH)
	return 0
end

local operations = {
	take = take, attempted = attempted, correct = correct, nodes = nodes, auth_allowed = auth_allowed,
	auth_failed = auth_failed, auth_succeeded = auth_succeeded,
}
return operations[ARGV[1]]()
