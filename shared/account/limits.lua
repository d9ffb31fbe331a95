-- limits.lua - the limit decisions of limits.c: one call each, with the server's clock.
--
-- GCRA: a limit of N per period is a theoretical arrival time (TAT) in microseconds. Each unit
-- moves it by period/N; a unit conforms while the TAT stays within one period from now. So a full
-- allowance may go at once, and refills evenly.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local HOUR, DAY = 3600, 86400

-- Messages in flight, by weight, in the hash `flight`: n granted in this generation, less those that came to
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

-- take: KEYS gcra, flight, and for a user with limits of its own the user's gcra; ARGV needed
-- recipients, wanted messages, wanted recipients, spent
-- messages, spent recipients (negative: given back), limits (messages per hour, per day,
-- recipients per hour, per day; 0 = none), most in flight, most waiting, weight in flight beyond one
-- a message, the user's limits (messages per hour, per day).
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
	if KEYS[3] then
		dims[5] = { 'mh', HOUR, a[13], 1, spent, key = KEYS[3], which = 7 }
		dims[6] = { 'md', DAY, a[14], 1, spent, key = KEYS[3], which = 8 }
	end
	local counted = flight_read(flight)
	flight_add(flight, counted, spent + a[12])
	local flying = counted.n + counted.old

	local wait, which = 0, 0
	local room = { want, want, want_to, want_to, want, want }
	for i, d in ipairs(dims) do
		local period, limit = d[2] * 1000000, d[3]
		if limit > 0 then
			local unit = period / limit
			local tat = tonumber(redis.call('HGET', d.key or gcra, d[1]) or 0)
			tat = math.max(math.max(tat, now) + d[5] * unit, now)
			local free = (now + period - tat) / unit + 0.000001
			-- More recipients than the limit may go when all of it is free.
			local short = math.min(d[4], limit) - free
			if short > 0 and short * unit / 1000000 > wait then
				wait, which = math.ceil(short * unit / 1000000), d.which or i
			end
			room[i] = math.min(room[i], math.floor(free))
			d[6], d[7] = tat, unit
		end
	end
	if want > 0 and flying >= a[10] then wait, which = math.max(wait, 30), 5 end
	if want > 0 and flight_waiting(flight) >= a[11] then wait, which = math.max(wait, 300), 6 end

	local granted, granted_to = 0, 0
	if want > 0 and wait == 0 then
		granted = math.min(room[1], room[2], room[5], room[6], a[10] - flying)
		granted_to = math.max(need, math.min(room[3], room[4]))
		flight_add(flight, counted, granted)
	end
	for i, d in ipairs(dims) do
		if d[6] then
			local n = (i <= 2 or i >= 5) and granted or granted_to
			redis.call('HSET', d.key or gcra, d[1], string.format('%.3f', d[6] + n * d[7]))
		end
	end
	redis.call('EXPIRE', gcra, DAY)
	if KEYS[3] then redis.call('EXPIRE', KEYS[3], DAY) end
	if want == 0 then wait, which = 0, 0 end
	return { granted, granted_to, wait, which }
end

-- attempted: KEYS flight; ARGV weight of the messages attempted, node, its waiting rows (-1: not said)
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

-- AUTH: KEYS failures of the address, users known there, failures of its IPv6 /48; ARGV user, microseconds
-- until a failure is forgotten, most failures of the address, of the /48 (0: it has none). Failures are
-- the time at which all of them are forgotten.
local MONTH = 30 * DAY

local function ahead(key)
	return math.max(0, tonumber(redis.call('GET', key) or 0) - now)
end

local function auth_look()
	local users = redis.call('ZRANGEBYSCORE', KEYS[2], now - MONTH * 1000000, '+inf')
	return { ahead(KEYS[1]), ahead(KEYS[3]), users }
end

local function fill(key, cost, most)
	local failures = math.min(ahead(key) + cost, 2 * most * cost)
	redis.call('SET', key, string.format('%.0f', now + failures), 'PX', math.ceil(failures / 1000))
end

local function auth_failed()
	fill(KEYS[1], ARGV[3], ARGV[4])
	if tonumber(ARGV[5]) > 0 then fill(KEYS[3], ARGV[3], ARGV[5]) end
	return 0
end

local function auth_succeeded()
	redis.call('ZADD', KEYS[2], now, ARGV[2])
	redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - MONTH * 1000000)
	redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -101)
	redis.call('EXPIRE', KEYS[2], MONTH)
	return 0
end

local operations = {
	take = take, attempted = attempted, correct = correct, nodes = nodes, auth_look = auth_look,
	auth_failed = auth_failed, auth_succeeded = auth_succeeded,
}
return operations[ARGV[1]]()
