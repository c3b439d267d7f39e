	-- SPDX-License-Identifier: ISC
	-- A part of new_general() in take.lua: identical checks, taken as one.

	-- How many times `price` goes into `room`; exact up to 2^53.
	local function times_in(room, price)
		return room < price and 0 or (room - math.fmod(room, price)) / price
	end

	-- From now on charging the limit charges it for this many checks at once.
	local function scale(l, times)
		l.number = l.one * times
		l.cost = string.format('%.0f', l.number)
	end

	-- One fixed limit: charging first is one command if all fit, and two if nothing is left.
	local function take_fixed(key, l, times)
		scale(l, times)
		if fixed.charge(key, l) then
			return times
		end
		local granted = times_in(l.max - l.used, l.one)
		if granted > 0 then
			scale(l, granted)
			fixed.charge(key, l)
		end
		l.used = -1 - l.used
		return granted
	end

	-- Grants as many as fit into every limit. The first limit without room for one more
	-- refuses the rest.
	local function take_all(at, limits, times)
		local granted = times
		for j = 1, #limits do
			local l = limits[j]
			l.number = l.one
			l.algorithm.look(keys[at + j - 1], l)
			l.room = times_in(l.algorithm.room(l))
			granted = math.min(granted, l.room)
		end
		for j = 1, granted > 0 and #limits or 0 do
			scale(limits[j], granted)
			if not limits[j].algorithm.charge(keys[at + j - 1], limits[j]) then
				error('a limit that had room has none')
			end
			charged = j
		end
		charged = 0
		for j = 1, granted < times and #limits or 0 do
			if limits[j].room == granted then
				if limits[j].algorithm == fixed then
					end_with_window(keys[at + j - 1], limits[j])
				end
				limits[j].used = -1 - limits[j].used
				break
			end
		end
		return granted
	end

	-- Takes `times` checks and answers them.
	local function take_times(at, limits, times)
		local l = limits[1]
		n_out = n_out + 1
		if #limits == 1 and l.algorithm == fixed and l.one * times <= COUNT_MAX then
			out[n_out] = take_fixed(keys[at], l, times)
		else
			out[n_out] = take_all(at, limits, times)
		end
		tell(limits)
	end

	-- Takes a run of entries; the arguments from `at` on say how many checks each stands
	-- for.
	function general.take_run(first, entries, limits, at)
		local width = 1 + general.prepare(limits)
		for j = 1, #limits do
			limits[j].one = limits[j].number
		end
		for i = 0, entries - 1 do
			local key, begun = first + i * #limits, n_out
			local ok, fault = pcall(take_times, key, limits, tonumber(args[at + i]))
			if not ok then
				n_out = begun
				pcall(undo, key, limits)
				charged = 0 -- what could not be undone must not be undone with the next
				add_error(fault, width)
			end
		end
	end
