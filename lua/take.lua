-- SPDX-License-Identifier: ISC
-- Takes the charges of many checks in one call: of each check all or none.
--
-- ARGV is a list of runs, checks of one shape one after another:
--   checks in the run, limits per check, then for each limit: max, cost,
--   window length in ms, window offset in ms.
-- KEYS holds the counters of the checks in the same order, limit by limit.
-- All numbers are whole and at most 2^53 - 1, exact in Lua's doubles.
--
-- Returns a flat array: the time in µs by this server's clock, then for each check one
-- number per limit: the count after the charge, or, where the check was refused, the
-- unchanged counts, of which the first that lacked room is given as -1 - count.
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

local call, keys, args = redis.call, KEYS, ARGV
local time = call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local out = {time[1] * 1000000 + time[2]}
local n_out = 1
local charged = 0 -- limits of the check under way that hold its charge

local GUARD_MS = 250
local NO_COUNT = 'WRONGTYPE a counter holds something that is not a count'

local function read_limit(at)
	local l = {
		max = tonumber(args[at]),
		cost = args[at + 1],
		number = tonumber(args[at + 1]),
		len = tonumber(args[at + 2]),
	}
	local into = (now_ms - tonumber(args[at + 3])) % l.len
	local guard = math.min(l.len / 20, GUARD_MS)
	local expire = now_ms - into + l.len - 1
	if l.len - into <= guard then
		expire = expire + math.floor(guard / 2)
	end
	l.expire = string.format('%.0f', expire)
	l.fresh = into < guard
	return l
end

-- In the first moments of a window: drops a count of the window before, and one that
-- somebody took the expiry from, which would count for ever.
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

-- The count as it is, without charging.
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

-- Charges one limit. Returns the count and whether it fitted.
local function charge(key, l)
	if l.number == 0 then
		local used = look(key, l)
		return used, used <= l.max
	end
	if l.fresh then
		drop_old(key, l)
	end
	local used = call('INCRBY', key, l.cost)
	if used > l.max then
		return give_back(key, l.cost), false
	end
	if used <= l.number then
		begin(key, l, used)
	end
	return used, true
end

-- Undoes the first `charged` limits of the check whose counters begin at `at`.
local function undo(at, limits)
	for j = charged, 1, -1 do
		charged = j - 1 -- never twice, also when this fails
		if limits[j].number > 0 then
			give_back(keys[at + j - 1], limits[j].cost)
		end
	end
	charged = 0
end

local function take_check(at, limits)
	local used, fits = {}, true
	local refused
	for j = 1, #limits do
		used[j], fits = charge(keys[at + j - 1], limits[j])
		if not fits then
			refused = j
			break
		end
		charged = j
	end
	if refused then
		undo(at, limits)
		for j = 1, #limits do
			if j ~= refused then
				used[j] = look(keys[at + j - 1], limits[j])
			end
		end
		used[refused] = -1 - used[refused]
	end
	charged = 0
	for j = 1, #limits do
		out[n_out + j] = used[j]
	end
	n_out = n_out + #limits
end

local function take_many(first, last, limits)
	for at = first, last, #limits do
		take_check(at, limits)
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
local function take_run(first, last, limits)
	local take, shape = take_many, limits
	if #limits == 1 and limits[1].number > 0 then
		take, shape = take_one, limits[1]
	end
	local begun = n_out - first
	while first <= last do
		local ok, fault = pcall(take, first, last, shape)
		if ok then
			return
		end
		first = n_out - begun
		pcall(undo, first, limits)
		add_error(fault, #limits)
		first = first + #limits
	end
end

local at, key = 1, 1
while args[at] do
	local checks, n = tonumber(args[at]), tonumber(args[at + 1])
	local limits = {}
	at = at + 2
	for j = 1, n do
		limits[j] = read_limit(at)
		at = at + 4
	end
	take_run(key, key + checks * n - 1, limits)
	key = key + checks * n
end
return out
