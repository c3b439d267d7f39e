-- SPDX-License-Identifier: ISC
-- Takes the charges of many checks in one call: for each check all of them or none.
--
-- ARGV is a list of runs. A run is a number of checks of one shape:
--   checks in the run, limits per check, then for each limit one of
--     max, cost, window length in ms, window offset in ms
--     max, cost, 'sliding', window length, window offset
--     capacity, cost, 'bucket', interval between two tokens in µs
--     max, cost, 'fixed dates' or 'sliding dates', five moments in ms that bound the four
--       windows around now. If none of the first three is the current one, the check's
--       error is 'DATES', and the daemon asks again with others.
--     max, cost, 'slots': a concurrency limit, which takes one slot whatever the cost.
--       Only in a run with a ledger that makes reservations, or in one that only looks.
-- If the number of checks is negative, that many checks only look: they charge nothing,
-- and their answer is the counts as they are.
-- KEYS has the counters of the checks in the same order, limit by limit.
-- Identical checks are one entry, in a run of its own kind: 'times', entries in the run,
--   limits per entry, the limits as above (all enforced, none of slots, costs above 0),
--   then for each entry how many checks it stands for. As many are granted as fit.
-- All numbers are whole and at most 2^53 - 1, exact in Lua's doubles.
--
-- A run with a ledger has more before and after that:
--   'ledger', how long the record of a request id lives in ms (0: these checks have no
--     id), how long a reservation may be settled in ms (0: these checks make none), and
--     one word: for each limit 1 or 0, whether the cost of a commit replaces its cost ('-'
--     if there are no limits), then, after a space, what the reservation's record is to
--     end with, if anything;
--   then as above, beginning with the checks in the run; limits per check may be 0;
--   then for each check the print of what its id stands for, and its holder, if any.
-- In KEYS each check's counters come after the record of its id and the record of its
-- reservation, if any. An admitted check leaves these records in the same step as its
-- charges:
--   of the id           PRINT 0 TIME HOLDER NUMBERS...
--     the 0 counts the retries that were given the answer; HOLDER is '-' if there is none
--   of the reservation  h (KEY COST CORRECTS WORD A B)... (+ PART)...
--     for each counter that was charged or could have been; COST is what was charged.
--     WORD A B: fixed, the window's end and its length in ms; sliding, the ends of the
--     window and of the next one in ms; bucket, when it would be full again, had nothing
--     been given back, and the time between two tokens, in µs; slots 0 0. lua/settle.lua
--     reads it.
-- The answer to such a check begins with one more element. It is 0; or, if the id was
--   admitted before, 'REPLAYED TIME HOLDER', and the numbers are those of that time; or, if
--   it was admitted with another print, 'CONFLICT', followed by zeros. Neither of the
--   latter charges anything.
--
-- Returns a flat array: the time in µs by this server's clock, then for each check one
-- number per limit: the count after the charge; or, if the check was refused, the
-- unchanged counts, with -1 - count for the first limit that lacked room.
-- A sliding limit has two numbers: the counts of this window and of the one before.
-- A bucket has two: how many µs are left until it is full, and how many were given back
-- to it since it last was.
-- Slots have two: how many are held, and in how many ms the first lease ends (0: none is
-- held).
-- An entry that stands for many checks begins with one more element: how many were granted.
-- Its counts are those after that; if not all were, -1 - count stands for the first limit
-- that has no room for one more.
-- A limit whose max is given as -1 - max is a shadow limit. Shadow limits come after the
-- others of their check, are charged when those fit, even past their max, and never
-- refuse: if one lacked room its number is -1 - count, and -1 if it could not be charged.
-- It has one more number, the last: how much of its cost was charged.
-- A check that met an error has the error's text as its first element, and zeros after
-- it. It charged nothing, and the other checks are not affected.
--
-- A counter expires with its window: in the window's last ms, since a key still lives in
-- the ms of its expiry. The clock is read once, first; but expiry is judged by the time
-- at which the script began, which may lie in the window before. And a key that is given
-- an expiry in the past is deleted at once, by PEXPIREAT everywhere and by SET ... PXAT on
-- Valkey from 8.1 and on later Redis; its count would be lost to the rest of the window.
-- So:
--   a counter that is born in the last moments of its window lives a little past its end;
--   in the first moments of a window, a key that expires soon is an old one, and goes.
--
-- The values of the other algorithms say themselves what window they are of, and so may
-- live longer than they count: 'END COUNT BEFORE' for sliding, with the end of the window
-- in ms; for a bucket the time in µs at which it is full again and, if something was given
-- back to it, the time at which it would be without that. Slots are a sorted set: holders
-- by the ms at which their leases end; the key expires with the last one.

local call, keys, args = redis.call, KEYS, ARGV
local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = (now_us - now_us % 1000) / 1000
local GUARD_MS = 250

-- The usual call: runs of one enforced fixed limit, not near the edge of its window, with room
-- in all counters. It ends here, because defining everything below would cost as much again;
-- for the same reason this part has no function and no table, and its answers replace its
-- keys. It stops at the first check that is not of that kind. Adding 0 is half the work of
-- tonumber(), which looks at every text twice.
local at, first = 1, 1    -- the current run: its arguments, and its first key
local i, key = 1, keys[1] -- the current key
local held                -- what it was charged, if its check still has no answer
local redis_pcall, type = redis.pcall, type
keys[1] = now_us
while args[at + 1] == '1' and args[at] ~= 'ledger' and args[at] ~= 'times' do
	local len = tonumber(args[at + 4]) -- another algorithm has its name there
	local into = len and (now_ms - args[at + 5]) % len
	local max, cost, number = args[at + 2] + 0, args[at + 3], args[at + 3] + 0
	local next_run = first + args[at]
	if not len or max < 0 or number == 0 or next_run < first
		or into < GUARD_MS and into < len / 20 or len - into <= GUARD_MS then
		break
	end
	local last_ms = now_ms - into + len - 1
	i = next_run
	for k = first, next_run - 1 do
		local used = redis_pcall('INCRBY', key, cost)
		if type(used) ~= 'number' or used > max or used <= number
			and (used < number or redis_pcall('PEXPIREAT', key, last_ms) ~= 1) then
			i, held = k, type(used) == 'number' and cost
			break
		end
		key, keys[k + 1] = keys[k + 1], used
	end
	if i < next_run then
		break
	end
	at, first = at + 6, next_run
end
if not args[at] then
	return keys
end

-- The rest is taken in the general way, beginning with the check at which that stopped.
local out, n_out = {}, i
for k = 1, i do
	out[k] = keys[k]
end
keys[i] = key

local charged = 0 -- how many limits of the current check hold its charge
local general, others, ledger -- made when a run needs them

local NO_COUNT = 'WRONGTYPE a counter holds something that is not a count'
local COUNT_MAX = 2 ^ 53 - 1
local FILLINGS_MAX = 2 -- BUCKET_FILLINGS_MAX of limit/limit.h

-- A fixed limit, whose arguments begin at `at`, in the window around now.
local function read_fixed(at, len)
	local into = (now_ms - args[at + 3]) % len
	return {
		max = args[at] + 0,
		cost = args[at + 1],
		number = args[at + 1] + 0,
		len = len,
		stop = now_ms - into + len,
		fresh = into < GUARD_MS and into < len / 20, -- the window has just begun
	}
end

-- In the first moments of a window: drops a count of the window before.
local function drop_old(key, l)
	local left = call('PTTL', key)
	if left == -1 or left >= 0 and left < l.len / 2 then
		call('DEL', key)
	end
end

-- If the count is negative without the charge, it was not ours; it is left as it was, and
-- is an error, since a refusal would report a number without meaning.
local function give_back(key, cost)
	local left = call('DECRBY', key, cost)
	if left < 0 then
		error(NO_COUNT)
	elseif left == 0 then
		call('DEL', key)
	end
	return left
end

-- When the counter expires, in ms, as text.
local function expiry_of(l)
	if not l.expire then
		local guard = math.min(l.len / 20, GUARD_MS)
		local late = l.stop - now_ms <= guard and math.floor(guard / 2) or 0
		l.expire = string.format('%.0f', l.stop - 1 + late)
	end
	return l.expire
end

-- A counter that refuses and has no expiry, since somebody else wrote it, would refuse for
-- ever: it ends with this window. This is only asked at a refusal, so that checks that fit
-- cost no more.
local function end_with_window(key, l)
	if redis.pcall('PTTL', key) == -1 then
		redis.pcall('PEXPIREAT', key, expiry_of(l))
	end
end

-- A charge brought the count to `used`, which is no more than its cost: the counter was just
-- born and needs its expiry, without which it must not stay. If it is less than the cost,
-- the value was negative before, and so is not a count of ours.
local function begin(key, l, used)
	if used < l.number then
		call('DECRBY', key, l.cost)
		error(NO_COUNT)
	end
	local answer = redis.pcall('SET', key, l.cost, 'PXAT', expiry_of(l))
	if answer.err then
		give_back(key, l.cost)
		error(answer)
	end
end

if held then -- its check is taken again from the start
	pcall(give_back, key, held)
end

-- The count as it is.
local function look(key, l)
	if l.fresh then
		drop_old(key, l)
	end
	local used = tonumber(call('GET', key) or 0)
	if not used or used ~= math.floor(used) or used < 0 then
		error(NO_COUNT)
	end
	return used
end

-- Undoes the first `charged` limits of the check whose counters begin at `at`.
local function undo(at, limits)
	for j = charged, 1, -1 do
		charged = j - 1 -- never twice, also when this fails
		local l, key = limits[j], keys[at + j - 1]
		if l.number > 0 and l.algorithm then
			l.algorithm.undo(key, l)
		elseif l.number > 0 then
			give_back(key, l.cost)
		end
	end
end

-- Refuses a check: limit j, which was just charged, has no room for it.
local function refuse(at, limits, j)
	local used = give_back(keys[at + j - 1], limits[j].cost)
	end_with_window(keys[at + j - 1], limits[j])
	undo(at, limits)
	for k = 1, #limits do
		out[n_out + k] = k == j and -1 - used or look(keys[at + k - 1], limits[k])
	end
end

-- Checks of plain limits: fixed, enforced, with costs above 0, in windows that have not just
-- begun. Charging first, and undoing that on a refusal, is one command for what fits.
local function take_plain(first, last, limits)
	local call, keys, out, n = call, keys, out, #limits
	for at = first, last, n do
		for j = 1, n do
			local key, l = keys[at + j - 1], limits[j]
			local used = call('INCRBY', key, l.cost)
			if used > l.max then
				refuse(at, limits, j)
				break
			elseif used <= l.number then
				begin(key, l, used)
			end
			out[n_out + j] = used
			charged = j
		end
		charged = 0
		n_out = n_out + n
	end
end

-- The window of a fixed limit, and whether it has just begun.
local function set_window(l, len, into)
	l.len, l.stop = len, now_ms - into + len
	if into < math.min(len / 20, GUARD_MS) then
		l.fresh = true
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

-- Runs of any shape. Made only when one is needed, like the parts below: most calls need
-- none of them, and every call pays for what it defines.
local function new_general()
	local general = {}
	-- What an algorithm does with a limit's counter: charge() returns whether the cost
	-- fitted; charge() and look() leave in l.used (and l.before) how the counter stands;
	-- undo() reverts the last charge().
	local fixed = {width = 1, word = 'fixed'}

	function fixed.look(key, l)
		l.used = look(key, l)
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
			end_with_window(key, l)
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

	-- How much may still be charged, and how much of that one check takes.
	function fixed.room(l)
		return l.max - l.used, l.number
	end

	function fixed.undo(key, l)
		give_back(key, l.cost)
	end

	-- A shadow limit of the algorithm `base`.
	local function new_shadow(base)
		local shadow = {width = base.width + 1, two = base.two, word = base.word}

		-- Whether the key can be charged. A key that holds no count has nothing used and
		-- no room, but is not an error: a shadow limit never fails a check.
		local function look(key, l)
			local ok, fault = pcall(base.look, key, l)
			if ok then
				l.used = math.min(l.used, COUNT_MAX)
				l.fits = base.fits(l)
				return true
			end
			local text = type(fault) == 'table' and fault.err or fault
			if not string.find(text, 'WRONGTYPE', 1, true) then
				error(fault, 0) -- without a position: the daemon reads its first word
			end
			l.used, l.before, l.fits = 0, 0, false
			return false
		end

		local function tell(l)
			if not l.fits then
				l.used = -1 - l.used
			end
		end

		-- Calls fn with the part of the cost that is charged as the cost, and no max.
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

		-- How much more may be charged, which a count's range and a bucket's debt bound.
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

	-- Takes one check and answers it; returns which limit refused it, if any.
	function general.take_check(at, limits)
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
		return refused
	end

	function general.take_many(first, last, limits)
		for at = first, last, #limits do
			general.take_check(at, limits)
		end
	end

	-- Checks that only look.
	function general.look_many(first, last, limits)
		for at = first, last, #limits do
			for j = 1, #limits do
				limits[j].algorithm.look(keys[at + j - 1], limits[j])
			end
			tell(limits)
		end
	end

	-- Gives every limit its algorithm; returns how many numbers answer a check.
	function general.prepare(limits)
		local width = 0
		for j = 1, #limits do
			limits[j].algorithm = limits[j].algorithm or fixed
			if limits[j].shadow then
				limits[j].algorithm = new_shadow(limits[j].algorithm)
			end
			width = width + limits[j].algorithm.width
		end
		return width
	end

-- include shared/take_times.lua

	return general
end

-- include shared/take_others.lua

local function are_plain(limits)
	for _, l in ipairs(limits) do
		if l.algorithm or l.shadow or l.fresh or l.number == 0 then
			return false
		end
	end
	return true
end

-- Takes one run; a check that fails is undone, and the run goes on after it.
local function take_run(first, last, limits, looks)
	local take, width = take_plain, #limits
	if looks or not are_plain(limits) then
		general = general or new_general()
		width = general.prepare(limits)
		take = looks and general.look_many or general.take_many
	end
	local at, begun = first, n_out
	while at <= last do
		local ok, fault = pcall(take, at, last, limits)
		if ok then
			return
		end
		at = first + (n_out - begun) / width * #limits
		pcall(undo, at, limits)
		charged = 0 -- what could not be undone must not be undone with the next check
		add_error(fault, width)
		at = at + #limits
	end
end

-- Returns the limit whose arguments begin at `at`, and where the next one's begin.
local function read_limit(at)
	local len = tonumber(args[at + 2])
	local l = len and read_fixed(at, len)
		or {max = args[at] + 0, cost = args[at + 1], number = args[at + 1] + 0}
	if l.max < 0 then
		l.shadow, l.max = true, -1 - l.max
	end
	if len then
		return l, at + 4
	end
	others = others or new_others()
	return l, at + 3 + others[args[at + 2]](l, at + 3)
end

-- include shared/take_ledger.lua

key = first
while args[at] do
	local checks, n = tonumber(args[at]), tonumber(args[at + 1])
	if args[at] == 'ledger' then
		ledger = ledger or new_ledger()
		at, key = ledger(at + 1, key)
	else
		local limits, together = {}, not checks
		if together then
			checks, n, at = n, tonumber(args[at + 2]), at + 1
		end
		at = at + 2
		for j = 1, n do
			limits[j], at = read_limit(at)
		end
		local looks = checks < 0
		checks = math.abs(checks)
		if together then
			general = general or new_general()
			general.take_run(key, checks, limits, at)
			at = at + checks
		else
			take_run(math.max(key, i), key + checks * n - 1, limits, looks)
		end
		key = key + checks * n
	end
end
return out
