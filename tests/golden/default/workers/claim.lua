#!lua flags=allow-oom
-- Hands out a message and writes down who has it, in one step. The flag has a Redis that is full
-- hand out what it is full of.
--
-- KEYS: unacked, unacked_index, those that this consumer has, malformed ones; then for each queue
-- in turn its list and its bell. ARGV: the time, and 1 where a bell was heard for this.
-- Returns {number of the queue, tag, message}, or false where there is none.
local unacked, index, held, malformed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, woken = ARGV[1], ARGV[2]

local function label(message)
  local properties = cjson.decode(message).properties
  local info = properties.delivery_info
  assert(type(properties.delivery_tag) == 'string')
  return properties.delivery_tag, cjson.encode(info.exchange), cjson.encode(info.routing_key)
end

for number = 5, #KEYS, 2 do
  local queue, bell = KEYS[number], KEYS[number + 1]
  local message = redis.call('RPOP', queue)
  while message do
    if woken == '0' then redis.call('RPOP', bell) end
    local read, tag, exchange, routing_key = pcall(label, message)
    if read then
      redis.call('ZADD', index, now, tag)
      redis.call('HSET', unacked, tag, '[' .. message .. ',' .. exchange .. ',' .. routing_key .. ']')
      redis.call('SADD', held, tag)
      return {(number - 5) / 2, tag, message}
    end
    redis.call('LPUSH', malformed, message)
    message = redis.call('RPOP', queue)
  end
end
return false
