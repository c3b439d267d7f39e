-- SPDX-License-Identifier: ISC
-- Gives back charges that nobody was told of. ARGV is a list of checks, of each:
--   how many charges it had;
--   how the record of its request id begins, which is PRINT 0 TIME HOLDER ('': no id);
--   the holder of its reservation ('': none);
--   of each charge four: the cost, and WORD A B of a reservation's record (lua/take.lua).
-- KEYS holds for each: its id's record, its reservation's record, if any, its counters.
-- Acts only where the charge still counts, and never goes below 0. A check whose id's
-- record begins otherwise was told to a retry, or was another one: it stands. The records
-- of the others go, so that a retry is a new try.
-- Returns how many counters were given back to.
-- include shared/change.lua

local args, keys = ARGV, KEYS
local at, key, done = 1, 1, 0

local function take_key(wanted)
	if wanted then
		key = key + 1
		return keys[key - 1]
	end
end

-- Whether the record is still what the call left behind.
local function is_ours(id_key, start)
	local text = try(call, 'GET', id_key)
	return text and (text .. ' '):sub(1, #start + 1) == start .. ' '
end

local function give_back(counter, holder, cost, word, a, b)
	if word == 'slots' then
		return free_slot(counter, holder)
	end
	return change[word](counter, -cost, a, b)
end

while args[at] do
	local n, start, holder = tonumber(args[at]), args[at + 1], args[at + 2]
	local id_key, held_key = take_key(start ~= ''), take_key(holder ~= '')
	local ours = not id_key or is_ours(id_key, start)
	at = at + 3
	if ours and id_key then
		call('DEL', id_key)
	end
	if ours and held_key then
		call('DEL', held_key)
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
