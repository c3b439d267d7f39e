-- SPDX-License-Identifier: ISC
-- Ends or prolongs one reservation. KEYS are its record and then the counters that the
-- record names, in its order; ARGV:
--   commit, rollback or renew; the record's text as it was read; the holder;
--   the true cost of a commit, or -1: as charged; by how many ms a renewal prolongs;
--   for how many ms the record then says that the reservation was settled
-- Returns 1: done; 0: the record no longer has that text (it has to be read again; nothing
-- was changed); -1: a slot that was to be prolonged is no longer held (nothing was
-- changed).
--
-- Run twice, it does nothing the second time, because the record has changed. It does not
-- fail half-way: a full Redis refuses no write of a script that has already written
-- something; freeing slots, which the daemon's user may not be allowed to, comes before
-- the record is changed; and the other commands were needed for the charges, too. The
-- record is never absent in between: while its slot moves to another node, a missing key
-- would belong to that node.
-- include shared/change.lua

local record, holder = KEYS[1], ARGV[3]
local cost, ttl, keep = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if call('GET', record) ~= ARGV[2] then
	return 0
end

local charges, slots = {}, {}
for charged, corrects, word, a, b in
	ARGV[2]:gmatch(' %S+ (%d+) ([01]) (%a+) (%d+) (%d+)') do
	local i = #charges + #slots + 2
	local list = word == 'slots' and slots or charges
	list[#list + 1] = {key = KEYS[i], cost = tonumber(charged),
		corrects = corrects == '1', word = word, a = tonumber(a), b = tonumber(b)}
end
if #charges + #slots + 1 ~= #KEYS then
	error('ERR the keys are not those of the record')
end

local settle = {}

-- By how much to correct a charge.
local function delta_of(charge)
	if ARGV[1] == 'rollback' then
		return -charge.cost
	end
	return cost >= 0 and charge.corrects and cost - charge.cost or 0
end

local function free_slots()
	for _, slot in ipairs(slots) do
		try(free_slot, slot.key, holder)
	end
end

function settle.commit()
	local left = call('PTTL', record)
	call('PEXPIRE', record, left > 0 and left or keep)
	free_slots()
	-- A key still lives in the ms of its expiry.
	call('SET', record, 's', 'PX', keep - 1)
	for _, charge in ipairs(charges) do
		local delta = delta_of(charge)
		if delta ~= 0 then
			try(change[charge.word], charge.key, delta, charge.a, charge.b)
		end
	end
	return 1
end

settle.rollback = settle.commit

function settle.renew()
	for _, slot in ipairs(slots) do
		slot.stop = tonumber(try(call, 'ZSCORE', slot.key, holder) or 0)
		if slot.stop <= now_ms then
			return -1
		end
	end
	if call('PTTL', record) < ttl - 1 then
		call('PEXPIRE', record, ttl - 1)
	end
	for _, slot in ipairs(slots) do
		if slot.stop < now_ms + ttl then
			call('ZADD', slot.key, text_of(now_ms + ttl), holder)
			local last = call('ZRANGE', slot.key, -1, -1, 'WITHSCORES')[2]
			call('PEXPIREAT', slot.key, last)
		end
	end
	return 1
end

return settle[ARGV[1]]()
