-- SPDX-License-Identifier: ISC
-- A part of take.lua: runs with a ledger. new_ledger() returns the function that takes such
-- a run. It is all one function because most calls need none of it.
local function new_ledger()
	general = general or new_general()
	local marks = {} -- A and B of a reservation's record

	function marks.fixed(l)
		return l.stop, l.len
	end

	function marks.sliding(l)
		return l.stop, l.after
	end

	function marks.bucket(l)
		return now_us + (l.used < 0 and -1 - l.used or l.used) + l.before, l.interval
	end

	function marks.slots()
		return 0, 0
	end

	local function answer(value)
		n_out = n_out + 1
		out[n_out] = value
	end

	-- A key still lives in the ms of its expiry, so that has to be the last ms.
	local function set_for(key, text, ms)
		call('SET', key, text, 'PX', ms - 1)
	end

	-- Counts one more retry that is given the answer. PEXPIRE comes first: once a script
	-- has written something, a full Redis takes its writes. The key is never absent in
	-- between: while its slot moves to another node, it would belong there.
	local function claim(check, print, claimed, rest)
		local left = call('PTTL', check.id_key)
		if left == 0 then
			return -- it expires within a ms
		end
		call('PEXPIRE', check.id_key, left > 0 and left or check.dedup)
		call('SET', check.id_key, string.format('%s %.0f %s', print, claimed + 1, rest),
			'KEEPTTL')
	end

	-- Answers a check whose id was admitted before.
	local function replay(check, text, width)
		local print, claimed, rest = text:match('^(%x+) (%d+) (%d+ %S+.*)$')
		local time, holder, list = (rest or ''):match('^(%d+) (%S+)(.*)$')
		local numbers = {}
		if not time then
			error('WRONGTYPE the record of a request id is none', 0)
		end
		for number in list:gmatch(' (%-?%d+)') do
			numbers[#numbers + 1] = tonumber(number)
		end
		if print ~= check.print or #numbers ~= width - 1 then
			answer('CONFLICT')
			for _ = 2, width do
				answer(0)
			end
			return
		end
		if not check.looks then
			claim(check, print, claimed, rest)
		end
		answer('REPLAYED ' .. time .. ' ' .. holder)
		for j = 1, #numbers do
			answer(numbers[j])
		end
	end

	local function write_id(check, first)
		local words = {check.print, 0, string.format('%.0f', now_us),
			check.holder or '-'}
		for i = first, n_out do
			words[#words + 1] = string.format('%.0f', out[i])
		end
		set_for(check.id_key, table.concat(words, ' '), check.dedup)
	end

	local function write_held(check, at, limits)
		local words = {'h'}
		for j = 1, #limits do
			local l = limits[j]
			local cost = l.shadow and l.held or l.number
			if cost > 0 or l.number == 0 then -- else a shadow one that was not charged
				words[#words + 1] = string.format('%s %.0f %s %s %.0f %.0f',
					keys[at + j - 1], cost, check.corrects:sub(j, j),
					l.algorithm.word, marks[l.algorithm.word](l))
			end
		end
		words[#words + 1] = check.parts
		set_for(check.held_key, table.concat(words, ' '), check.ttl)
	end

	-- Both records or none.
	local function write(check, at, limits, first)
		if check.held_key then
			write_held(check, at, limits)
		end
		if not check.id_key then
			return
		end
		local ok, fault = pcall(write_id, check, first)
		if not ok then
			if check.held_key then
				call('DEL', check.held_key)
			end
			error(fault, 0)
		end
	end

	local function take(check, at, limits, width)
		local text = check.id_key and call('GET', check.id_key)
		if text then
			return replay(check, text, width)
		end
		answer(0)
		local first = n_out + 1
		if check.looks then
			-- Without limits the loop in look_many() would not end.
			return #limits > 0 and
				general.look_many(at, at + #limits - 1, limits)
		end
		for j = 1, #limits do
			limits[j].holder, limits[j].lease = check.holder, check.lease
		end
		if not general.take_check(at, limits) then
			charged = #limits -- they are undone if a record cannot be written
			write(check, at, limits, first)
			charged = 0
		end
	end

	-- Takes the run whose arguments begin at `at` and whose keys begin at `key`; returns
	-- where those of the next run begin.
	return function(at, key)
		local check = {dedup = args[at], ttl = args[at + 1], corrects = args[at + 2],
			lease = tonumber(args[at + 1])}
		local checks, n = tonumber(args[at + 3]), tonumber(args[at + 4])
		local limits = {}
		at = at + 5
		for j = 1, n do
			limits[j], at = read_limit(at)
		end
		local width = 1 + general.prepare(limits)
		check.looks = checks < 0
		check.parts = check.corrects:match(' (.+)$')
		for _ = 1, math.abs(checks) do
			if check.dedup ~= '0' then
				check.id_key, check.print = keys[key], args[at]
				key, at = key + 1, at + 1
			end
			if check.ttl ~= '0' then
				check.held_key, check.holder = keys[key], args[at]
				key, at = key + 1, at + 1
			end
			local begun = n_out
			local ok, fault = pcall(take, check, key, limits, width)
			if not ok then
				n_out = begun
				pcall(undo, key, limits)
				charged = 0
				add_error(fault, width)
			end
			key = key + n
		end
		return at, key
	end
end
