-- lane.lua - what a lane (egress IP and site) may do now, over all senders: one call a decision.
--
-- KEYS lane hash, site hash. ARGV operation, now (microseconds; 0: the server's; tests have a clock of their own).
-- Lane hash: s:<sender> "leased want expiry since"; tat: when the next message may go; f, ft, base: slowed down to f of
-- base messages a second at ft; c1: one connection since; rest: no mail until; r, rt: messages a second, lately; why: the
-- reply that slowed, narrowed or stopped it; wd, w0, ws, wf, wb, wl: warm-up, see warm(). Site hash: l:<ip>:<sender> "leased expiry"; b:<ip>: our IP was blamed then;
-- incident: until when it is the provider's incident, and no IP's fault.

local time = redis.call('TIME')
local now = tonumber(ARGV[2])
if now == 0 then now = time[1] * 1000000 + time[2] end
local SECOND, MINUTE = 1000000, 60000000
local HOLD = 5 * SECOND    -- a lease that others wait for goes round after so long
local AGAIN = 5 * SECOND   -- replies to what was under way slow the lane down once
local INCIDENT = 15 * MINUTE
local lane, site = KEYS[1], KEYS[2]

local function numbers(text)
	local out = {}
	for word in string.gmatch(text, '%S+') do out[#out + 1] = tonumber(word) end
	return out
end

local function get(key, field) return tonumber(redis.call('HGET', key, field) or 0) end

-- The part of its usual rate that the lane may use: half after a reply that slows, then 10 % more each minute.
local function factor()
	local f, ft = get(lane, 'f'), get(lane, 'ft')
	if f == 0 then return 1 end
	f = f * 1.1 ^ (math.max(0, now - ft) / MINUTE)
	if f < 1 then return f end
	redis.call('HDEL', lane, 'f', 'ft', 'base')
	return 1
end

-- Warm-up of a new IP at this site: 20 messages an hour, 1.4 times as many after each day that counts, for 12 days. A day
-- counts when mail was sent, less than 5 % of it was deferred, and no reply blamed the IP; blame takes a day back. After 30
-- days without mail all begins anew. wd: days that counted; w0: when the day began; ws, wf: messages in it, and of them
-- deferred; wb: 1 after blame; wl: when the last message went.
local FIRST, GROWTH, DAYS, DAY, IDLE = 20, 1.4, 12, 1440 * MINUTE, 30 * 1440 * MINUTE
local function warm(sent, deferred)
	local days, w0, ws, wf, wl = get(lane, 'wd'), get(lane, 'w0'), get(lane, 'ws'), get(lane, 'wf'), get(lane, 'wl')
	local blamed = get(lane, 'wb')
	if wl > 0 and now - wl > IDLE then days, w0, ws, wf, blamed = 0, 0, 0, 0, 0 end
	if w0 > 0 and now - w0 >= DAY then
		if ws > 0 and blamed == 0 and wf * 100 < ws * 5 then days = math.min(DAYS, days + 1) end
		w0, ws, wf, blamed = now, 0, 0, 0
	end
	if w0 == 0 then w0 = now end
	if sent > 0 then wl = now end
	redis.call('HSET', lane, 'wd', days, 'w0', string.format('%.0f', w0), 'ws', ws + sent, 'wf', wf + deferred,
		'wb', blamed, 'wl', string.format('%.0f', wl))
	return days < DAYS and math.floor(FIRST * GROWTH ^ days) / 3600 or 0
end

local function keep()
	redis.call('EXPIRE', lane, 40 * 86400) -- longer than a warm-up is remembered
	redis.call('EXPIRE', site, 86400)
end

-- take: ARGV sender, wanted connections, wanted messages, messages sent since the last call, connections of the lane, of
-- the site (0: no limit), messages a second times 1000 (0: no limit), microseconds of a lease, egress IP, 1 while
-- the IP warms up, messages deferred since the last call. Returns
-- {connections, senders, microseconds until the lane may be asked for messages again, microseconds of its rest, which
-- limit binds, microseconds until each message may go ...}.
local function take()
	local me, ip = ARGV[3], ARGV[11]
	local want, slots, sent = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
	local most, site_most, rate = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]) / 1000
	local lease = tonumber(ARGV[10])
	local f, binds = factor(), 'none'
	local warming = false
	if ARGV[12] == '1' then
		local cap = warm(sent, tonumber(ARGV[13]))
		if cap > 0 and (rate == 0 or cap < rate) then rate, warming = cap, true end
	end
	local incident = get(site, 'incident') > now

	local leased, wanted, starving, senders, mine = 0, 0, 0, 1, { 0, 0, 0, 0 }
	local all = redis.call('HGETALL', lane)
	for i = 1, #all, 2 do
		if all[i]:sub(1, 2) == 's:' then
			local s = numbers(all[i + 1])
			if s[3] <= now then
				redis.call('HDEL', lane, all[i])
			elseif all[i] == 's:' .. me then
				mine = s
			else
				senders = senders + 1
				leased, wanted = leased + s[1], wanted + s[2]
				if s[2] > 0 and s[1] == 0 then starving = starving + 1 end
			end
		end
	end

	local limit = most
	if f < 1 then limit, binds = math.max(1, math.ceil(most * f)), 'slowed' end
	local single = get(lane, 'c1')
	if single > 0 then
		local room = 1 + math.floor((now - single) / MINUTE)
		if room >= most then redis.call('HDEL', lane, 'c1') end
		if room < limit then limit, binds = room, 'single' end
	end
	if incident then limit, binds = 1, 'incident' end
	local free = limit - leased
	if site_most > 0 then
		local others = 0
		local held = redis.call('HGETALL', site)
		for i = 1, #held, 2 do
			if held[i]:sub(1, 2) == 'l:' then
				local l = numbers(held[i + 1])
				if l[2] <= now then redis.call('HDEL', site, held[i])
				elseif held[i] ~= 'l:' .. ip .. ':' .. me then others = others + l[1] end
			end
		end
		if site_most - others < free then free, binds = site_most - others, 'site' end
	end

	-- Who wants more than there is gets a share by what it wants; a lease of the last ones goes round.
	local grant = math.max(0, math.min(want, free))
	if want + wanted > limit and want > 0 then
		grant = math.min(grant, math.max(1, math.ceil(limit * want / (want + wanted))))
		if binds == 'none' then binds = 'connections' end
	end
	local since = mine[4]
	if grant > 0 and (mine[1] == 0 or since <= 0) then
		if starving > 0 and since < 0 and now + since < 2 * SECOND then grant = 0 else since = now end
	elseif grant > 0 and starving > 0 and grant == 1 and now - since >= HOLD then
		grant, since = 0, -now
	end
	local rest = math.max(0, get(lane, 'rest') - now)
	if incident then rest = 0 end
	if rest > 0 then grant, slots, binds = 0, 0, 'rest' end
	if want == 0 then
		redis.call('HDEL', lane, 's:' .. me)
		redis.call('HDEL', site, 'l:' .. ip .. ':' .. me)
	else
		redis.call('HSET', lane, 's:' .. me, string.format('%d %d %.0f %.0f', grant, want, now + lease, since))
		redis.call('HSET', site, 'l:' .. ip .. ':' .. me, string.format('%d %.0f', grant, now + lease))
	end

	local r, rt = get(lane, 'r'), get(lane, 'rt')
	if sent > 0 or r > 0 then
		r = r * math.exp(-math.max(0, now - rt) / (10 * SECOND)) + sent / 10
		redis.call('HSET', lane, 'r', string.format('%.6f', r), 'rt', string.format('%.0f', now))
	end
	if f < 1 then
		local slowed = math.max(get(lane, 'base'), 0.02) * f
		if rate == 0 or slowed < rate then rate, binds = slowed, 'slowed' end
	end
	-- A second holds no more than its messages, though some come a little late: they keep 6 % more apart.
	local out, wait = { grant, senders, 0, rest, binds }, 0
	if rate == 0 then
		out[3] = -1
	else
		local apart = SECOND / (rate * 0.94)
		local tat = math.max(get(lane, 'tat'), now)
		if slots > 0 and tat - now >= SECOND then wait = tat - now - SECOND / 2 end
		while slots > 0 and tat - now < SECOND do
			out[#out + 1] = math.floor(tat - now)
			tat, slots = tat + apart, slots - 1
		end
		if slots > 0 then
			wait = math.max(wait, tat - now - SECOND / 2)
			if binds == 'none' then out[5] = warming and 'warm-up' or 'rate' end
		end
		if warming then wait = math.max(wait, tat - now - SECOND / 2) end
		redis.call('HSET', lane, 'tat', string.format('%.0f', tat))
		out[3] = math.floor(wait)
	end
	redis.call('HSET', lane, 'binds', out[5], 'most', most)
	keep()
	return out
end

-- slow, single: the lane goes slower. rest: ARGV microseconds: no mail leaves by it. Then in each: the reply. Returns 1
-- when that is new.
local function note(why)
	redis.call('HSET', lane, 'why', why, 'why_at', string.format('%.0f', now))
	keep()
end

local function slow()
	note(ARGV[3])
	if get(lane, 'ft') > now - AGAIN then return 0 end
	local f = factor()
	if f == 1 then
		local rate = tonumber(ARGV[4]) / 1000
		if rate == 0 then rate = math.max(get(lane, 'r') * math.exp(-math.max(0, now - get(lane, 'rt')) / (10 * SECOND)), 0.2) end
		redis.call('HSET', lane, 'base', string.format('%.6f', rate))
	end
	redis.call('HSET', lane, 'f', string.format('%.6f', math.max(f / 2, 1 / 64)), 'ft', string.format('%.0f', now))
	return 1
end

local function single()
	note(ARGV[3])
	redis.call('HSET', lane, 'c1', string.format('%.0f', now))
	return 1
end

local function rest()
	note(ARGV[3])
	local new = get(lane, 'rest') <= now
	redis.call('HSET', lane, 'rest', string.format('%.0f', math.max(get(lane, 'rest'), now + ARGV[4])))
	return new and 1 or 0
end

-- blame: ARGV reply, egress IP, how many IPs there are. Our IP was blamed: a third of ours, and two at least, within 15
-- minutes are the provider's incident. Returns 1 while there is one.
local function blame()
	note(ARGV[3])
	redis.call('HSET', site, 'b:' .. ARGV[4], string.format('%.0f', now))
	if get(lane, 'w0') > 0 and get(lane, 'wb') == 0 then
		redis.call('HSET', lane, 'wb', 1, 'wd', math.max(0, get(lane, 'wd') - 1))
	end
	local blamed, all = 0, redis.call('HGETALL', site)
	for i = 1, #all, 2 do
		if all[i]:sub(1, 2) == 'b:' then
			if tonumber(all[i + 1]) > now - INCIDENT then blamed = blamed + 1
			else redis.call('HDEL', site, all[i]) end
		end
	end
	if blamed >= 2 and blamed * 3 >= tonumber(ARGV[5]) then
		redis.call('HSET', site, 'incident', string.format('%.0f', now + INCIDENT))
		return 1
	end
	return 0
end

-- lift: an operator says that the lane's blocks are lifted.
local function lift()
	redis.call('HDEL', lane, 'rest', 'f', 'ft', 'base', 'c1')
	return 1
end

local operations = { take = take, slow = slow, single = single, rest = rest, blame = blame, lift = lift }
return operations[ARGV[1]]()
