-- score.lua - what a sender's mail did, judged where it is counted: one call, with the server's clock.
--
-- KEYS: the account's state, its credential's, its originator's (score:{account}:...).
-- ARGV: operation, thresholds (JSON), a time that stands in for the clock (tests; '' is the server's), then
--   add   counts, then places in the filter of recipients that were delivered (known.h)
--   pass  client network, then the places of the message's recipients
--   read
--   forgive  rung (1 account, 2 credential, 3 originator), 'release' (a false alarm: the baseline learns) or
--            'forgive' (only the step ends)
--
-- A state: w windows, each {number of its period, its counts, the counts of the period before}. What is left of
-- the period before counts by its share, so that a window rolls evenly. b: strangers an hour, by hour of the week,
-- a moving average; bh: the hour that is not in it yet, and n its strangers; m the mean of busy hours; s the step,
-- since, why, limit; f until when it is forgiven; t: taught by a false alarm; born: since when it is known; g: when the next message may go.
--
-- Blame goes to the lowest rung: what an originator did counts for its credential and account only until the
-- originator is held; then it is taken off them again. So a hijacked mailbox does not stop its company. What somebody
-- has been forgiven does not go upwards either.

local op, t = ARGV[1], cjson.decode(ARGV[2])
local clock = redis.call('TIME')
local now = ARGV[3] ~= '' and tonumber(ARGV[3]) or clock[1] + clock[2] / 1000000
local WIDTHS = { 300, 3600, 86400, 604800 }
local NAMES = { 'recipients', 'strangers', 'ended', 'hard_bounces', 'unknown_users', 'complaints', 'viruses',
	'alerts', 'spam' }
local RUNGS = { 'account', 'credential', 'originator' }
local KEPT = 14 * 86400
local HOUR = 3600
local account = KEYS[1]:match('{.*}')

local function zeros()
	return { 0, 0, 0, 0, 0, 0, 0, 0, 0 }
end

local function roll(state)
	for i, width in ipairs(WIDTHS) do
		local period, window = math.floor(now / width), state.w[i]
		if not window or window[1] < period - 1 then
			state.w[i] = { period, zeros(), zeros() }
		elseif window[1] == period - 1 then
			state.w[i] = { period, zeros(), window[2] }
		end
	end
end

local function expected(state, rung, hour)
	local usual = state.b['h' .. (hour or math.floor(now / HOUR)) % 168] or 0
	return math.ceil(math.max(t.floor[rung], usual, state.m or 0, state.t))
end

-- Hours that have ended go into the baseline. What a held sender did teaches nothing, and an hour teaches twice of
-- what was expected of it at most, so that nobody can train it within days; but for the time of learning.
local function learn(state, rung)
	local hour = math.floor(now / HOUR)
	if state.bh == hour then return end
	if state.s < 4 and state.bh then
		if now >= state.born + t.learning then
			state.n = math.min(state.n, 2 * expected(state, rung, state.bh))
		end
		local slot = 'h' .. state.bh % 168
		state.b[slot] = state.b[slot] and state.b[slot] + (state.n - state.b[slot]) / 4 or state.n
		if state.n > 0 then state.m = state.m and state.m + (state.n - state.m) / 16 or state.n end
		for passed = math.max(state.bh + 1, hour - 168), hour - 1 do
			local idle = 'h' .. passed % 168
			if state.b[idle] then
				state.b[idle] = state.b[idle] > 0.1 and state.b[idle] * 3 / 4 or nil
			end
		end
		state.t = state.t * 0.9 ^ ((hour - state.bh) / 24)
	end
	state.bh, state.n = hour, 0
end

local function load(key, rung)
	local raw = redis.call('GET', key)
	local state = raw and cmsgpack.unpack(raw) or { w = {}, b = {}, n = 0, t = 0, s = 0, f = 0, g = 0, since = 0,
		born = now }
	roll(state)
	learn(state, rung)
	return state
end

local function save(key, state)
	redis.call('SET', key, cmsgpack.pack(state), 'EX', KEPT)
end

local function counts(state, i)
	local width, window, found = WIDTHS[i], state.w[i], {}
	local share = 1 - (now / width - math.floor(now / width))
	for n, name in ipairs(NAMES) do
		found[name] = math.floor(window[2][n] + window[3][n] * share + 0.5)
	end
	return found
end

local states = {}
for rung = 1, 3 do states[rung] = load(KEYS[rung], rung) end

local function add(adds)
	for rung = 3, 1, -1 do
		local state = states[rung]
		for i = 1, #WIDTHS do
			for n, count in ipairs(adds) do state.w[i][2][n] = state.w[i][2][n] + count end
		end
		state.n = state.n + adds[2]
		if state.s >= 4 or state.f > now then return end
	end
end

-- Takes off the rungs above what this one did, as far as it was counted there.
local function take_off(rung)
	local mine = states[rung]
	for above = rung - 1, 1, -1 do
		local state = states[above]
		for i = 1, #WIDTHS do
			for part = 2, 3 do
				for n = 1, #NAMES do
					state.w[i][part][n] = math.max(0, state.w[i][part][n] - mine.w[i][part][n])
				end
			end
		end
		state.n = math.max(0, state.n - mine.n)
	end
end

-- The rungs' ids, for the list of who stands on the ladder.
local function member(rung)
	return RUNGS[rung] .. ' ' .. KEYS[rung]
end

-- The thresholds of a rung. An account is judged from four times as many recipients on as an originator, a
-- credential from twice as many: else the little mail of others would blame all of them before him who sends most.
local function thresholds(rung)
	return setmetatable({ minimum = t.minimum * 2 ^ (3 - rung) }, { __index = t })
end

local function judge()
	local changed = {}
	for rung = 3, 1, -1 do
		local state = states[rung]
		local step, why, limit = ladder(state.s, counts(state, 2), counts(state, 3), expected(state, rung),
			state.f > now, now < states[1].born + t.learning, thresholds(rung))
		if step ~= state.s then
			changed[#changed + 1] = { rung, state.s, step, why or '', limit or '' }
			state.since = now
			if step >= 4 and state.s < 4 then
				state.s = step
				take_off(rung)
			end
			state.s = step
			if step > 0 then redis.call('ZADD', 'scores:standing', step, member(rung))
			else redis.call('ZREM', 'scores:standing', member(rung)) end
		end
		if why and step > 0 then state.why, state.limit = why, limit end
	end
	return changed
end

-- The filter of recipients that the account delivered to: 2^17 bits, three for each, a place is their three numbers
-- in one. There is a filter a quarter of a year, and the one before counts, too.
local function filter(quarters_ago)
	return 'known:' .. account .. ':' .. math.floor(now / (90 * 86400)) - quarters_ago
end

local function bits(place)
	local n = tonumber(place)
	local high = math.floor(n / 131072)
	return n % 131072, high % 131072, math.floor(high / 131072)
end

local function strangers(first)
	local found, whole = 0, {}
	if #ARGV - first > 16 then
		for ago = 0, 1 do whole[ago] = redis.call('GET', filter(ago)) or '' end
	end
	local function bit_at(ago, n)
		if not whole[ago] then return redis.call('GETBIT', filter(ago), n) end
		local byte = whole[ago]:byte(math.floor(n / 8) + 1) or 0
		return math.floor(byte / 2 ^ (7 - n % 8)) % 2
	end
	for i = first, #ARGV do
		local x, y, z = bits(ARGV[i])
		local known = false
		for ago = 0, 1 do
			known = known or (bit_at(ago, x) == 1 and bit_at(ago, y) == 1 and bit_at(ago, z) == 1)
		end
		if not known then found = found + 1 end
	end
	return found
end

local function remember(first)
	for i = first, #ARGV do
		for _, bit in ipairs({ bits(ARGV[i]) }) do redis.call('SETBIT', filter(0), bit, 1) end
	end
	if #ARGV >= first then redis.call('EXPIRE', filter(0), 200 * 86400) end
end

-- Distinct ones of a day, as HyperLogLogs.
local function distinct(rung, what, first, last)
	local key = KEYS[rung] .. ':' .. what .. ':' .. math.floor(now / 86400)
	if not first then return redis.call('PFCOUNT', key) end
	redis.call('PFADD', key, unpack(ARGV, first, last))
	redis.call('EXPIRE', key, 2 * 86400)
end

local function top(n)
	local key = 'scores:top:' .. math.floor(now / HOUR)
	redis.call('ZINCRBY', key, n, KEYS[1])
	redis.call('ZINCRBY', key, n, KEYS[3])
	redis.call('EXPIRE', key, 2 * HOUR)
end

local function save_all()
	for rung = 1, 3 do save(KEYS[rung], states[rung]) end
end

local function op_add()
	local adds = {}
	for n = 1, #NAMES do adds[n] = tonumber(ARGV[3 + n]) end
	add(adds)
	remember(4 + #NAMES)
	local changed = judge()
	save_all()
	return { changed }
end

-- Returns {step, ms to wait, why, rung} beside the changes.
local function op_pass()
	local recipients = #ARGV - 4
	add({ recipients, strangers(5), 0, 0, 0, 0, 0, 0, 0 })
	if recipients > 0 then
		for rung = 1, 3, 2 do distinct(rung, 'r', 5, #ARGV) end
		local day = math.floor(now / 86400)
		for what, who in pairs({ o = KEYS[3], n = ARGV[4] }) do
			redis.call('PFADD', KEYS[1] .. ':' .. what .. ':' .. day, who)
			redis.call('EXPIRE', KEYS[1] .. ':' .. what .. ':' .. day, 2 * 86400)
		end
		top(recipients)
	end
	local changed, step, worst, wait = judge(), 0, 1, 0
	for rung = 1, 3 do
		local state = states[rung]
		if state.s > step then step, worst = state.s, rung end
		if state.s == 2 or state.s == 3 then
			state.g = math.max(state.g, now)
			wait = math.max(wait, math.min(600, state.g - now))
			state.g = math.min(state.g + recipients * HOUR / (t.throttle * expected(state, rung)), now + 600)
		end
	end
	save_all()
	return { changed, step, math.floor(wait * 1000), states[worst].why or '', worst }
end

local function op_read()
	local found = {}
	for rung = 1, 3 do
		local state, windows = states[rung], {}
		for i = 1, #WIDTHS do
			local c = counts(state, i)
			for n, name in ipairs(NAMES) do windows[#windows + 1] = c[name] end
		end
		found[rung] = { state.s, math.floor(state.since), state.s > 0 and state.why or '',
			state.s > 0 and state.limit or '', expected(state, rung), math.floor(state.f), windows,
			distinct(rung, 'r'), rung == 1 and distinct(1, 'o') or 0, rung == 1 and distinct(1, 'n') or 0 }
	end
	return found
end

local function op_forgive()
	local rung, state = tonumber(ARGV[4]), states[tonumber(ARGV[4])]
	local was = state.s
	state.s, state.since, state.g, state.f, state.n = 0, now, 0, now + 86400, 0
	if ARGV[5] == 'release' then
		state.t = math.max(state.t, counts(state, 2).strangers)
	end
	redis.call('ZREM', 'scores:standing', member(rung))
	save(KEYS[rung], state)
	return was
end

local operations = { add = op_add, pass = op_pass, read = op_read, forgive = op_forgive }
return operations[op]()
