-- ladder.lua - from what a sender's mail did to a step of the ladder. Pure; score.lua runs it in Redis.
--
-- The rungs that are judged: an originator, a credential, an account. The steps: 0 nothing, 1 notify,
-- 2 throttle, 3 suspect (its mail leaves by the suspect pool), 4 hold for review, 5 block. Steps 1 to 3 end
-- by themselves when the figures fall; 4 and 5 stay until somebody looked (score.lua: release).
--
-- hour, day: counts of rolling windows {recipients, strangers, ended, hard_bounces, unknown_users, complaints,
-- viruses, alerts, spam}. `recipients` were handed to us, `ended` were delivered, refused or expired;
-- `strangers` are recipients to whom the account never delivered before. `expected`: strangers an hour.
-- young: too little is known of the account to tell what is usual, so that numbers alone only notify.
-- t: the thresholds of the configuration. Returns the step, why, and the threshold.

local function percent(part, whole)
	return 100 * part / whole
end

local function ladder(was, hour, day, expected, forgiven, young, t)
	local step, why, limit = 0, '', ''
	local function at(level, text, threshold)
		if level > step then step, why, limit = level, text, threshold end
	end

	if hour.strangers >= t.minimum then
		local times = hour.strangers / expected
		local text = string.format('%d new recipients in an hour, %.1f times the %d expected',
			hour.strangers, times, expected)
		if young then
			if times >= t.throttle then at(1, text, 'notify at ' .. t.throttle .. ' times') end
		elseif times >= 3 * t.hold and was >= 4 then at(5, text, 'block at ' .. 3 * t.hold .. ' times')
		elseif times >= t.hold then at(4, text, 'hold at ' .. t.hold .. ' times')
		elseif times >= (t.throttle + t.hold) / 2 then
			at(3, text, 'suspect at ' .. (t.throttle + t.hold) / 2 .. ' times')
		elseif times >= t.throttle then at(2, text, 'throttle at ' .. t.throttle .. ' times') end
	end
	for i, window in ipairs({ hour, day }) do
		local name = i == 1 and 'an hour' or 'a day'
		if window.ended >= t.minimum then
			local unknown = percent(window.unknown_users, window.ended)
			local complaints = percent(window.complaints, window.ended)
			local text = string.format('%.1f %% of %d recipients in %s are unknown users', unknown,
				window.ended, name)
			if unknown >= t.unknown_hold then at(4, text, 'hold at ' .. t.unknown_hold .. ' %')
			elseif unknown >= t.unknown_notify then at(1, text, 'notify at ' .. t.unknown_notify .. ' %') end
			text = string.format('%.2f %% of %d recipients in %s complained', complaints, window.ended,
				name)
			if complaints * 10 >= t.complaints_hold then
				at(4, text, 'hold at ' .. t.complaints_hold / 10 .. ' %')
			elseif complaints * 10 >= t.complaints_notify then
				at(1, text, 'notify at ' .. t.complaints_notify / 10 .. ' %')
			end
		end
	end
	if hour.spam >= t.spam then
		at(hour.spam >= 3 * t.spam and 4 or 3, string.format('%d messages in an hour look like spam', hour.spam),
			hour.spam >= 3 * t.spam and 'hold at ' .. 3 * t.spam or 'suspect at ' .. t.spam)
	end
	if forgiven and step > 1 then step = 1 end
	if hour.viruses >= t.viruses then
		at(4, string.format('%d viruses in an hour', hour.viruses), 'hold at ' .. t.viruses)
	end
	if was >= 4 and step < was then return was, nil, nil end
	return step, why, limit
end
