-- SPDX-License-Identifier: ISC
-- Gives back charges that nobody was told of. For each of KEYS four of ARGV: the cost,
-- two numbers that say when it was charged, and the algorithm:
--   fixed: the end of the window that was charged, in ms, and its length in ms;
--   sliding: the end of the window that was charged and of the next one, in ms;
--   bucket: the cost is in µs; when it would have been full again, in µs; 0.
-- Acts only where the charge still counts, and never goes below 0.
-- Returns how many counters were given back to.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local done = 0
local give_back = {}

function give_back.fixed(key, cost, window_end, len)
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

-- The window that was charged may have become the one before.
function give_back.sliding(key, cost, window_end, next_end)
	local text = redis.call('GET', key) or ''
	local stop, used, before = text:match('^(%d+) (%d+) (%d+)$')
	if tonumber(stop) == window_end then
		used = math.max(used - cost, 0)
	elseif tonumber(stop) == next_end then
		before = math.max(before - cost, 0)
	else
		return
	end
	redis.call('SET', key, string.format('%s %.0f %.0f', stop, used, before), 'KEEPTTL')
	done = done + 1
end

-- The bucket was never full between the charge and full_us, so what has not come back
-- by itself until then may be given back; a part of more may have come back.
function give_back.bucket(key, cost_us, full_us)
	local own = tonumber(redis.call('GET', key) or 0)
	local back = math.min(full_us - now_us, tonumber(cost_us))
	if back <= 0 or own <= now_us then
		return
	end
	redis.call('SET', key, string.format('%.0f', own - back), 'KEEPTTL')
	done = done + 1
end

for i, key in ipairs(KEYS) do
	local at = i * 4 - 3
	local a, b = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
	-- A key that another took over must not keep the others from theirs.
	pcall(give_back[ARGV[at + 3]], key, ARGV[at], a, b)
end
return done
