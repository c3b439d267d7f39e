-- SPDX-License-Identifier: ISC
-- A part of take.lua: the algorithms other than fixed, and calendar windows. new_others()
-- returns the functions that read such limits, by their words. It is all one function
-- because most calls need none of it.
local function new_others()
	-- Puts back the value that was read before the charge.
	local function put_back(key, l)
		if l.old then
			call('SET', key, l.old, 'KEEPTTL')
		else
			call('DEL', key)
		end
	end

	local sliding = {width = 2, two = true, word = 'sliding', undo = put_back}

	-- value * part / whole, rounded up. Exact even where the product would not be: then it
	-- goes digit by digit. value is at most 2^53, part at most whole, whole below 2^40.
	local function share_up(value, part, whole)
		local quotient, rest = 0, 0
		local digits = value * part < 2 ^ 53 and 1 or 5
		for i = digits - 1, 0, -1 do
			local digit = math.floor(value / 4096 ^ i)
			value = value - digit * 4096 ^ i
			local sum = rest * 4096 + digit * part
			rest = math.fmod(sum, whole)
			quotient = quotient * 4096 + (sum - rest) / whole
		end
		return rest > 0 and quotient + 1 or quotient
	end

	local function read(key)
		local text = call('GET', key)
		if not text then
			return text, 0, 0, 0
		end
		local stop, used, before = text:match('^(%d+) (%d+) (%d+)$')
		if not stop then
			error(NO_COUNT)
		end
		return text, tonumber(stop), tonumber(used), tonumber(before)
	end

	function sliding.look(key, l)
		local text, stop, used, before = read(key)
		l.old = text
		if stop <= now_ms then -- it is of an older window
			before = stop >= l.start and used or 0
			stop, used = l.stop, 0
		end
		l.own, l.own_used, l.own_before = stop, used, before
		l.used, l.before = used, before
		if stop > l.stop then -- time went back: all of it counts
			l.used, l.before = used + before, 0
		end
	end

	function sliding.fits(l)
		local room = l.max - l.used - l.number
		return room >= 0 and
			share_up(l.before, l.stop - now_ms, l.stop - l.start) <= room
	end

	function sliding.room(l)
		local weight = share_up(l.before, l.stop - now_ms, l.stop - l.start)
		return l.max - l.used - weight, l.number
	end

	function sliding.charge(key, l)
		sliding.look(key, l)
		if not sliding.fits(l) then
			return false
		end
		if l.number == 0 then
			return true
		end
		local value = string.format('%.0f %.0f %.0f', l.own,
			l.own_used + l.number, l.own_before)
		if l.own > l.stop then
			call('SET', key, value, 'KEEPTTL')
		else
			call('SET', key, value, 'PXAT', l.expire)
		end
		l.used = l.used + l.number
		return true
	end

	local bucket = {width = 2, two = true, word = 'bucket', undo = put_back}

	-- The value is when the bucket is full again and, if something was given back to it,
	-- when it would be if nothing had been.
	function bucket.look(key, l)
		local text = call('GET', key)
		local full, ungiven = (text or '0'):match('^(%d+) ?(%d*)$')
		full = tonumber(full or 0)
		ungiven = tonumber(ungiven) or full
		if text and full == 0 or full > ungiven or ungiven >= 2 ^ 53 then
			error(NO_COUNT)
		end
		l.old = text
		l.used = math.max(full - now_us, 0)
		l.before = math.max(ungiven - now_us - l.used, 0)
	end

	function bucket.fits(l)
		return l.number <= l.max and
			l.used + l.number * l.interval <= l.max * l.interval
	end

	function bucket.room(l)
		return l.max * l.interval - l.used, l.number * l.interval
	end

	function bucket.charge(key, l)
		bucket.look(key, l)
		if not bucket.fits(l) then
			return false
		end
		if l.number > 0 then
			local full = now_us + l.used + l.number * l.interval
			local form = l.before > 0 and '%.0f %.0f' or '%.0f'
			call('SET', key, string.format(form, full, full + l.before), 'PXAT',
				string.format('%.0f',
					math.ceil((full + l.before) / 1000) + GUARD_MS))
			l.used = full - now_us
		end
		return true
	end

	local slots = {width = 2, two = true, word = 'slots'}

	function slots.look(key, l)
		local live = string.format('(%.0f', now_ms)
		local first = call('ZRANGE', key, live, '+inf', 'BYSCORE', 'LIMIT', 0, 1,
			'WITHSCORES')
		l.used = first[2] and call('ZCOUNT', key, live, '+inf') or 0
		l.before = first[2] and first[2] - now_ms or 0
	end

	function slots.fits(l)
		return l.used + l.number <= l.max
	end

	function slots.charge(key, l)
		slots.look(key, l)
		if not slots.fits(l) then
			return false
		end
		call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now_ms))
		call('ZADD', key, string.format('%.0f', now_ms + l.lease), l.holder)
		local last = call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
		local ok, fault = pcall(call, 'PEXPIREAT', key, last)
		if not ok then
			call('ZREM', key, l.holder)
			error(fault, 0)
		end
		l.before = l.used > 0 and math.min(l.before, l.lease) or l.lease
		l.used = l.used + 1
		return true
	end

	function slots.undo(key, l)
		call('ZREM', key, l.holder)
	end

	-- Finds the current window among those that the daemon sent: five moments bound four
	-- windows, of which one of the first three must be it.
	local function find_window(at)
		for i = at, at + 2 do
			local start, stop = tonumber(args[i]), tonumber(args[i + 1])
			if start <= now_ms and now_ms < stop then
				return start, stop, tonumber(args[i + 2])
			end
		end
	end

	-- None of them is it: the daemon has to ask again with others.
	local function miss()
		error({err = 'DATES'})
	end

	local function set_sliding(l, start, stop, after)
		l.start, l.stop, l.after = start, stop, after
		l.expire = string.format('%.0f', after + GUARD_MS)
		l.algorithm = sliding
	end

	-- What follows the word of such a limit; each returns how many arguments that is.
	local readers = {}

	function readers.sliding(l, at)
		local len = tonumber(args[at])
		local start = now_ms - (now_ms - tonumber(args[at + 1])) % len
		set_sliding(l, start, start + len, start + 2 * len)
		return 2
	end

	function readers.bucket(l, at)
		l.interval = tonumber(args[at])
		l.algorithm = bucket
		return 1
	end

	function readers.slots(l)
		l.number, l.cost = 1, '1'
		l.algorithm = slots
		return 0
	end

	readers['fixed dates'] = function(l, at)
		local start, stop = find_window(at)
		if start then
			set_window(l, stop - start, now_ms - start)
		else
			l.algorithm = {look = miss, charge = miss, width = 1}
		end
		return 5
	end

	readers['sliding dates'] = function(l, at)
		local start, stop, after = find_window(at)
		if start then
			set_sliding(l, start, stop, after)
		else
			l.algorithm = {look = miss, charge = miss, width = 2, two = true}
		end
		return 5
	end

	return readers
end
