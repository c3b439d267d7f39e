-- SPDX-License-Identifier: ISC
-- Takes the charges of many checks in one call: of each check all or none.
--
-- ARGV is a list of runs, checks of one shape one after another:
--   checks in the run, limits per check, then for each limit one of
--     max, cost, window length in ms, window offset in ms
--     max, cost, 'sliding', window length, window offset
--     capacity, cost, 'bucket', interval between two tokens in µs
--     max, cost, 'fixed dates' or 'sliding dates', five moments in ms between which
--       lie the windows around now. Where none of the first three is the current one,
--       the check's error is 'DATES', and the daemon asks again with others.
-- Where the number of checks is below zero, that many checks only look: they charge
-- nothing, and their answer is the counts as they are.
-- KEYS holds the counters of the checks in the same order, limit by limit.
-- All numbers are whole and at most 2^53 - 1, exact in Lua's doubles.
--
-- Returns a flat array: the time in µs by this server's clock, then for each check one
-- number per limit: the count after the charge, or, where the check was refused, the
-- unchanged counts, of which the first that lacked room is given as -1 - count.
-- A sliding limit has two numbers: the count of this window and that of the one before.
-- A bucket's number is how many µs are left until it is full.
-- A limit whose max is given as -1 - max is a shadow limit. Those stand behind the others
-- of their check, are charged when these fit, past their max too, and never refuse: where
-- one lacked room its number is -1 - count, and -1 where it could not be charged. It has
-- one number more, the last: how much of its cost was charged.
-- A check that met an error has its text in the place of its first number and zeros
-- after it; it charged nothing, and the other checks are not touched.
--
-- A counter expires with its window: in the last ms of it, since a key still lives in
-- the ms of its expiry. The clock is read once, first, but expiry is judged by the time
-- at which the script began, which may lie in the window before. And a key whose time
-- has come is deleted at once, by PEXPIREAT everywhere and by SET ... PXAT on Valkey
-- from 8.1 and later Redis; its count would be lost to the rest of the window. So:
--   a counter born in the last moments of its window lives a little past the end;
--   in the first moments of a window a key that expires soon is an old one, and goes.
--
-- The values of the other algorithms say themselves what they are of, and so may live
-- longer than they count: 'END COUNT BEFORE' for sliding, with the end of the window
-- in ms, and the time at which the bucket is full again, in µs.

local call, keys, args = redis.call, KEYS, ARGV
local time = call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local out = {now_us}
local n_out = 1
local charged = 0 -- limits of the check under way that hold its charge

local fixed, others -- made when a limit asks for them

local GUARD_MS = 250
local NO_COUNT = 'WRONGTYPE a counter holds something that is not a count'
local COUNT_MAX = 2 ^ 53 - 1
local FILLINGS_MAX = 2 -- BUCKET_FILLINGS_MAX of limit/limit.h

-- When the counters of a fixed limit expire, and whether its window has just begun.
local function set_window(l, len, into)
	local guard = math.min(len / 20, GUARD_MS)
	local expire = now_ms - into + len - 1
	if len - into <= guard then
		expire = expire + math.floor(guard / 2)
	end
	l.len = len
	l.expire = string.format('%.0f', expire)
	l.fresh = into < guard
end

-- In the first moments of a window: drops a count of the window before.
local function drop_old(key, l)
	local left = call('PTTL', key)
	if left == -1 or left >= 0 and left < l.len / 2 then
		call('DEL', key)
	end
end

local function give_back(key, cost)
	local left = call('DECRBY', key, cost)
	if left <= 0 then
		call('DEL', key)
	end
	return left
end

-- A charge brought the count to `used`, no more than its own cost: the counter was just
-- born and needs its expiry, without which it must not stay. Below its cost it was
-- negative before, and so is no count of ours.
local function begin(key, l, used)
	if used < l.number then
		call('DECRBY', key, l.cost)
		error(NO_COUNT)
	end
	local answer = redis.pcall('SET', key, l.cost, 'PXAT', l.expire)
	if answer.err then
		give_back(key, l.cost)
		error(answer)
	end
end

-- The common shape: one limit, a cost above 0. Charging first and undoing a refusal
-- is one command for all that fits.
local function take_one(first, last, l)
	local max, cost, number = l.max, l.cost, l.number
	for i = first, last do
		local key = keys[i]
		if l.fresh then
			drop_old(key, l)
		end
		local used = call('INCRBY', key, cost)
		if used > max then
			used = -1 - give_back(key, cost)
		elseif used <= number then
			begin(key, l, used)
		end
		n_out = n_out + 1
		out[n_out] = used
	end
end

-- What an algorithm does with a limit's counter: charge() says whether it fitted; both
-- it and look() leave how the counter stands in l.used (and l.before); undo() takes
-- back what charge() did last. Each is made only when a limit asks for it: most calls
-- need none, and every call pays for what it defines.
local function new_fixed()
	local fixed = {width = 1}

	-- The count as it is, without charging.
	function fixed.look(key, l)
		if l.fresh then
			drop_old(key, l)
		end
		local used = tonumber(call('GET', key) or 0)
		if not used or used ~= math.floor(used) or used < 0 then
			error(NO_COUNT)
		end
		l.used = used
	end

	function fixed.charge(key, l)
		if l.number == 0 then
			fixed.look(key, l)
			return l.used <= l.max
		end
		if l.fresh then
			drop_old(key, l)
		end
		local used = call('INCRBY', key, l.cost)
		if used > l.max then
			l.used = give_back(key, l.cost)
			return false
		end
		if used <= l.number then
			begin(key, l, used)
		end
		l.used = used
		return true
	end

	function fixed.fits(l)
		return l.used + l.number <= l.max
	end

	function fixed.undo(key, l)
		give_back(key, l.cost)
	end

	return fixed
end

-- The other algorithms; and calendar windows; returns what
-- reads such limits by their words. All inside of one
-- function, since of most calls none of it is needed.
local function new_others()
	-- Puts back the value that was read before the charge.
	local function put_back(key, l)
		if l.old then
			call('SET', key, l.old, 'KEEPTTL')
		else
			call('DEL', key)
		end
	end

	local sliding = {width = 2, two = true, undo = put_back}

	-- value * part / whole, rounded up; exact also where the product is not: then
	-- digit by digit. value is at most 2^53, part at most whole, whole below 2^40.
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
		if stop <= now_ms then -- of an older window
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

	local bucket = {width = 1, undo = put_back}

	function bucket.look(key, l)
		local text = call('GET', key)
		local full = text and tonumber(text:match('^%d+$')) or 0
		if text and (full == 0 or full >= 2 ^ 53) then
			error(NO_COUNT)
		end
		l.old = text
		l.used = math.max(full - now_us, 0)
	end

	function bucket.fits(l)
		return l.number <= l.max and
			l.used + l.number * l.interval <= l.max * l.interval
	end

	function bucket.charge(key, l)
		bucket.look(key, l)
		if not bucket.fits(l) then
			return false
		end
		if l.number > 0 then
			local full = now_us + l.used + l.number * l.interval
			call('SET', key, string.format('%.0f', full), 'PXAT',
				string.format('%.0f', math.ceil(full / 1000) + GUARD_MS))
			l.used = full - now_us
		end
		return true
	end

	-- The windows of a limit that the daemon knows: five moments between which lie four
	-- windows, of which one of the first three must be the current one.
	local function find_window(at)
		for i = at, at + 2 do
			local start, stop = tonumber(args[i]), tonumber(args[i + 1])
			if start <= now_ms and now_ms < stop then
				return start, stop, tonumber(args[i + 2])
			end
		end
	end

	-- None of them is: the daemon has to ask again, with others.
	local function miss()
		error({err = 'DATES'})
	end

	local function set_sliding(l, start, stop, after)
		l.start, l.stop = start, stop
		l.expire = string.format('%.0f', after + GUARD_MS)
		l.algorithm = sliding
	end

	-- How limits that begin with a word go on; returns how many arguments that takes.
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
			l.algorithm = {look = miss, charge = miss, width = 2}
		end
		return 5
	end

	return readers
end

-- A shadow limit of the algorithm `base`.
local function new_shadow(base)
	local shadow = {width = base.width + 1, two = base.two}

	-- Whether the key can be charged. What is no count holds nothing and has no room:
	-- a shadow limit never fails a check.
	local function look(key, l)
		local ok, fault = pcall(base.look, key, l)
		if ok then
			l.used = math.min(l.used, COUNT_MAX)
			l.fits = base.fits(l)
			return true
		end
		local text = type(fault) == 'table' and fault.err or fault
		if not string.find(text, 'WRONGTYPE', 1, true) then
			error(fault, 0) -- without a position, which would hide what it is
		end
		l.used, l.before, l.fits = 0, 0, false
		return false
	end

	local function tell(l)
		if not l.fits then
			l.used = -1 - l.used
		end
	end

	-- Calls fn with what is charged in the place of cost and max.
	local function with_held(fn, key, l)
		local max, cost, number = l.max, l.cost, l.number
		l.max, l.cost = math.huge, string.format('%.0f', l.held)
		l.number = l.held
		local ok, fault = pcall(fn, key, l)
		l.max, l.cost, l.number = max, cost, number
		if not ok then
			error(fault, 0)
		end
	end

	function shadow.look(key, l)
		look(key, l)
		l.held = 0
		tell(l)
	end

	-- How much more may be charged: as far as a count goes, and a bucket's debt.
	local function credit(l)
		if not l.interval then
			return COUNT_MAX - l.used
		end
		local most = FILLINGS_MAX * l.max * l.interval
		return math.max(math.floor((most - l.used) / l.interval), 0)
	end

	function shadow.charge(key, l)
		l.held = look(key, l) and math.min(l.number, credit(l)) or 0
		if l.held > 0 then
			with_held(base.charge, key, l)
		end
		tell(l)
		return true
	end

	function shadow.undo(key, l)
		if l.held > 0 then
			with_held(base.undo, key, l)
		end
	end

	return shadow
end

-- Undoes the first `charged` limits of the check whose counters begin at `at`.
local function undo(at, limits)
	for j = charged, 1, -1 do
		charged = j - 1 -- never twice, also when this fails
		if limits[j].number > 0 then
			limits[j].algorithm.undo(keys[at + j - 1], limits[j])
		end
	end
	charged = 0
end

-- Answers one check.
local function tell(limits)
	for j = 1, #limits do
		local l = limits[j]
		n_out = n_out + 1
		out[n_out] = l.used
		if l.algorithm.two then
			n_out = n_out + 1
			out[n_out] = l.before
		end
		if l.shadow then
			n_out = n_out + 1
			out[n_out] = l.held
		end
	end
end

local function take_check(at, limits)
	local refused
	for j = 1, #limits do
		if not limits[j].algorithm.charge(keys[at + j - 1], limits[j]) then
			refused = j
			break
		end
		charged = j
	end
	if refused then
		undo(at, limits)
		for j = 1, #limits do
			if j ~= refused then
				limits[j].algorithm.look(keys[at + j - 1], limits[j])
			end
		end
		limits[refused].used = -1 - limits[refused].used
	end
	charged = 0
	tell(limits)
end

local function take_many(first, last, limits)
	for at = first, last, #limits do
		take_check(at, limits)
	end
end

-- Checks that only look.
local function look_many(first, last, limits)
	for at = first, last, #limits do
		for j = 1, #limits do
			limits[j].algorithm.look(keys[at + j - 1], limits[j])
		end
		tell(limits)
	end
end

local function add_error(fault, n)
	if type(fault) == 'table' then
		fault = fault.err
	end
	out[n_out + 1] = tostring(fault)
	for j = 2, n do
		out[n_out + j] = 0
	end
	n_out = n_out + n
end

-- One run; a check that fails is undone and the run goes on behind it.
local function take_run(first, last, limits, looks)
	local take, shape, width = looks and look_many or take_many, limits, 0
	if not looks and #limits == 1 and not limits[1].algorithm
		and limits[1].number > 0 and not limits[1].shadow then
		take, shape, width = take_one, limits[1], 1
	else
		for j = 1, #limits do
			fixed = fixed or new_fixed()
			limits[j].algorithm = limits[j].algorithm or fixed
			if limits[j].shadow then
				limits[j].algorithm = new_shadow(limits[j].algorithm)
			end
			width = width + limits[j].algorithm.width
		end
	end
	local at, begun = first, n_out
	while at <= last do
		local ok, fault = pcall(take, at, last, shape)
		if ok then
			return
		end
		at = first + (n_out - begun) / width * #limits
		pcall(undo, at, limits)
		charged = 0 -- what could not be undone is no charge of the next check
		add_error(fault, width)
		at = at + #limits
	end
end

-- The limit whose arguments begin at `at`, and where the next one begins.
local function read_limit(at)
	local l = {
		max = tonumber(args[at]),
		cost = args[at + 1],
		number = tonumber(args[at + 1]),
		len = tonumber(args[at + 2]),
	}
	if l.max < 0 then
		l.shadow, l.max = true, -1 - l.max
	end
	if not l.len then
		others = others or new_others()
		return l, at + 3 + others[args[at + 2]](l, at + 3)
	end
	set_window(l, l.len, (now_ms - tonumber(args[at + 3])) % l.len)
	return l, at + 4
end

local at, key = 1, 1
while args[at] do
	local checks, n = tonumber(args[at]), tonumber(args[at + 1])
	local limits = {}
	at = at + 2
	for j = 1, n do
		limits[j], at = read_limit(at)
	end
	local looks = checks < 0
	checks = math.abs(checks)
	take_run(key, key + checks * n - 1, limits, looks)
	key = key + checks * n
end
return out
