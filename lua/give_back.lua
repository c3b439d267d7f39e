-- SPDX-License-Identifier: ISC
-- Gives back charges that nobody was told of. For each of KEYS three of ARGV: the cost,
-- the end of the window that was charged in ms, and that window's length in ms.
-- Acts only while the counter still is of that window, and never goes below 0.
-- Returns how many counters were given back to.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local done = 0

local function give_back(key, cost, window_end, len)
	local left = redis.call('PTTL', key)
	if left < 0 or math.abs(now_ms + left - window_end) * 2 >= len then
		return
	end
	local used = tonumber(redis.call('GET', key) or 0)
	if used <= tonumber(cost) then
		redis.call('DEL', key)
	else
		redis.call('DECRBY', key, cost)
	end
	done = done + 1
end

for i, key in ipairs(KEYS) do
	local at = i * 3 - 2
	-- A key that another took over must not keep the others from theirs.
	pcall(give_back, key, ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]))
end
return done
