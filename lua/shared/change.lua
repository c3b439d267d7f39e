-- SPDX-License-Identifier: ISC
-- Corrects a charge afterwards; a part of the scripts that include it. Each function adds
-- `delta`, which may be negative, to what was charged, in the window that was charged and
-- only while that counts; never below 0 or past 2^53 - 1. a and b are those of a
-- reservation's record (lua/take.lua) and tell which window it was. Each returns whether
-- there was anything to change.

local call = redis.call
local time = call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]

local COUNT_MAX = 2 ^ 53 - 1
local GUARD_MS = 250
local GIVEN_US_MAX = 2592000000000 -- BUCKET_GIVEN_US_MAX of limit/limit.h
local change = {}

local function text_of(number)
	return string.format('%.0f', number)
end

local function add(count, delta)
	return math.max(math.min(tonumber(count) + delta, COUNT_MAX), 0)
end

-- Makes a counter again that was gone, of the window that ends at `stop`. It expires as in
-- lua/take.lua.
local function bear(key, count, stop, len)
	local guard = math.min(len / 20, GUARD_MS)
	local expire = stop - 1
	if stop - now_ms <= guard then
		expire = expire + math.floor(guard / 2)
	end
	call('SET', key, text_of(count), 'PXAT', text_of(expire))
	return true
end

-- A counter's expiry tells whether it is of that window, of an older one that has not gone
-- yet, or not ours at all.
function change.fixed(key, delta, stop, len)
	local left = call('PTTL', key)
	local off = now_ms + left - stop
	if now_ms >= stop then
		return false
	end
	if left == -2 or left >= 0 and off * 2 <= -len then
		return delta > 0 and bear(key, delta, stop, len)
	end
	local used = call('GET', key)
	if left < 0 or off * 2 >= len or not used or not used:match('^%d+$') then
		return false
	end
	used = add(used, delta)
	if used == 0 then
		-- Deletes the key without DEL, which the daemon's user may not be allowed to
		-- use: to find that out here would leave a settlement half done.
		call('PEXPIRE', key, -1)
	else
		call('SET', key, text_of(used), 'KEEPTTL')
	end
	return true
end

-- Makes a count again that was gone: of the charged window, or of the next one when that
-- has begun. `own` and `used` are the end and count of an older window, or 0.
local function bear_sliding(key, count, stop, after, own, used)
	local value, last
	if now_ms < stop then
		-- Whether that is the window just before; calendar windows vary in length.
		local near = own > stop - (after - stop) * 1.5
		value = string.format('%.0f %.0f %.0f', stop, count, near and used or 0)
		last = after
	else
		value = string.format('%.0f 0 %.0f', after, count)
		last = 2 * after - stop
	end
	call('SET', key, value, 'PXAT', text_of(last + GUARD_MS))
	return true
end

-- The charged window may have become the one before the current one.
function change.sliding(key, delta, stop, after)
	local text = call('GET', key)
	local own, used, before = (text or '0 0 0'):match('^(%d+) (%d+) (%d+)$')
	own = tonumber(own)
	if not own or now_ms >= after then
		return false
	elseif own < stop then
		return delta > 0 and bear_sliding(key, delta, stop, after, own, used)
	elseif own == stop then
		used = add(used, delta)
	elseif own == after then
		before = add(before, delta)
	else
		return false
	end
	call('SET', key, string.format('%.0f %.0f %.0f', own, used, before), 'KEEPTTL')
	return true
end

-- The same as in server/limit/charged.c, which explains it. A bucket that was reset
-- meanwhile owes an older charge nothing; one that was given much back gets no more.
function change.bucket(key, delta, ungiven_then, interval)
	local text = call('GET', key)
	local full, ungiven = (text or '0'):match('^(%d+) ?(%d*)$')
	if not full then
		return false
	end
	full = tonumber(full)
	ungiven = tonumber(ungiven) or full
	local lack = math.max(full - now_us, 0)
	local given = math.max(ungiven - now_us - lack, 0)
	if delta > 0 then
		full = math.min(now_us + lack + delta * interval, COUNT_MAX - given)
		ungiven = full + given
		call('SET', key, text_of(full) .. (given > 0 and ' ' .. text_of(ungiven) or ''),
			'PXAT', text_of(math.ceil(ungiven / 1000) + GUARD_MS))
		return true
	end
	local last = ungiven_then == ungiven -- nothing was taken after this charge
	local back = math.min(ungiven_then - given - now_us, -delta * interval,
		last and COUNT_MAX or GIVEN_US_MAX - given)
	if back <= 0 or ungiven_then > ungiven then
		return false
	end
	full, ungiven = full - back, last and ungiven - back or ungiven
	call('SET', key, text_of(full) .. (ungiven > full and ' ' .. text_of(ungiven) or ''),
		'KEEPTTL')
	return true
end

-- Frees the holder's slot. Returns whether it was held.
local function free_slot(key, holder)
	return call('ZREM', key, holder) == 1
end

-- Calls fn; false for a key that somebody else uses for something else, which must not keep
-- the other keys from being corrected. Any other error is passed on.
local function try(fn, ...)
	local ok, result = pcall(fn, ...)
	if ok then
		return result
	end
	local fault = type(result) == 'table' and result.err or result
	if not string.find(fault, 'WRONGTYPE', 1, true) then
		error(result, 0)
	end
	return false
end
