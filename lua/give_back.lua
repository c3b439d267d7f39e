-- SPDX-License-Identifier: ISC
-- Gives back charges that nobody was told of. ARGV is a list of checks; each is:
--   how many charges it had;
--   PRINT TIME HOLDER of its request id's record, as the check was told them ('': no id);
--   the holder of its reservation ('': none);
--   for each charge four: the cost, and WORD A B of a reservation's record (lua/take.lua).
-- KEYS has for each check: its id's record and its reservation's record, if any, then its
-- counters. A charge is given back only while it still counts, and never below 0.
--
-- The record of an id counts the answers that were given besides the first. A check, be it
-- the first or a retry, whose answer came too late takes one off. The last of them gives
-- the charges back and deletes the records, so that a retry is a new try. If the id's
-- record is another one by now, or the reservation was settled, the charges stand.
-- Returns how many counters were given something back.
-- include shared/change.lua

local args, keys = ARGV, KEYS
local at, key, done = 1, 1, 0
local wrote = false

local function take_key(wanted)
	if wanted then
		key = key + 1
		return keys[key - 1]
	end
end

-- A full Redis refuses commands that may need memory, but not in a script that has already
-- written something.
local function write_first(key)
	local left = wrote and 0 or call('PTTL', key)
	if left > 0 then
		wrote = pcall(call, 'PEXPIRE', key, left)
	end
end

-- Whether nobody else was given the answer that the record holds; if somebody was, takes
-- one off the count.
local function is_last(id_key, start)
	local text = try(call, 'GET', id_key)
	local print, told, rest = (text or ''):match('^(%x+) (%d+) (.*)$')
	if not print or (print .. ' ' .. rest .. ' '):sub(1, #start + 1) ~= start .. ' ' then
		return false
	end
	if tonumber(told) == 0 then
		return true
	end
	write_first(id_key)
	call('SET', id_key, string.format('%s %.0f %s', print, told - 1, rest), 'KEEPTTL')
	return false
end

local function drop(record)
	if record then
		call('DEL', record)
		wrote = true
	end
end

local function give_back(counter, holder, cost, word, a, b)
	if word == 'slots' then
		return free_slot(counter, holder)
	end
	write_first(counter)
	return change[word](counter, -cost, a, b)
end

while args[at] do
	local n, start, holder = tonumber(args[at]), args[at + 1], args[at + 2]
	local id_key, held_key = take_key(start ~= ''), take_key(holder ~= '')
	local ours = not (held_key and try(call, 'GET', held_key) == 's')
	ours = (not id_key or is_last(id_key, start)) and ours
	at = at + 3
	if ours then
		drop(id_key)
		drop(held_key)
	end
	for _ = 1, n do
		local counter = take_key(true)
		if ours and try(give_back, counter, holder, tonumber(args[at]),
			args[at + 1], tonumber(args[at + 2]), tonumber(args[at + 3])) then
			done = done + 1
		end
		at = at + 4
	end
end
return done
