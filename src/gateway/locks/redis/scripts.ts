/** What is done in Redis in one step: a script runs alone, on the server. */
import { createHash } from 'node:crypto';
import { MAX_EPOCH } from '../store.ts';

/** A script, and its name for a server that has it already. */
export interface Script {
  readonly lua: string;
  readonly sha: string;
}

function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Numbers are doubles in Lua, and would be written as 1e+15. */
const EPOCHS = `
local function known(field) return tonumber(redis.call('HGET', KEYS[2], field) or '0') end
local function text(epoch) return string.format('%.0f', epoch) end
`;

/** Whether the record that was found is the one that was seen: its text begins with the sign of that one. An empty sign: none was seen. */
const SEEN = `
local found = redis.call('HGET', KEYS[1], ARGV[1])
local function isSeen(sign)
  if not found then return sign == '' end
  return sign ~= '' and string.sub(found, 1, #sign) == sign
end
`;

/** Keys: records, epochs. Arguments: field, sign of what was seen, least epoch before it, body of the new record. */
export const ADVANCE = script(`${EPOCHS}${SEEN}
if not isSeen(ARGV[2]) then return {'Lost', found} end
local least = tonumber(ARGV[3])
if not found then least = math.max(least, known('forgotten')) end
if least >= ${MAX_EPOCH} then return {'Exhausted'} end
local record = text(least + 1) .. ' ' .. ARGV[4]
redis.call('HSET', KEYS[1], ARGV[1], record)
return {'Won', record}
`);

/** Keys: records. Arguments: field, sign of what was seen, the new record. */
export const SETTLE = script(`${SEEN}
if not isSeen(ARGV[2]) then return {'Lost', found} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return {'Won', ARGV[3]}
`);

/** Keys: records, epochs. Arguments: field, sign of what was seen, its epoch. The epoch is written first: without it nothing is deleted. */
export const FORGET = script(`${EPOCHS}${SEEN}
if not found or not isSeen(ARGV[2]) then return {'Lost', found} end
redis.call('HSET', KEYS[2], 'forgotten', text(math.max(known('forgotten'), tonumber(ARGV[3]))))
redis.call('HDEL', KEYS[1], ARGV[1])
return {'Forgotten'}
`);
