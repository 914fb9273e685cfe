/**
 * Takes the managed fields out of an object's JSON before it is parsed. They are half of an object, have hundreds of keys of their own,
 * and hardly anybody reads them: to parse them cost more than the rest of a response.
 */

const KEY = '"managedFields":[';
const [QUOTE, COMMA, OPEN, BACKSLASH, CLOSE] = [0x22, 0x2c, 0x5b, 0x5c, 0x5d];

/**
 * The JSON of one object, or of an event with one, without `metadata.managedFields`. Unchanged if it has none, or is no whole JSON.
 * In a string the key would have backslashes before its quotes, so it is not found there.
 */
export function withoutManagedFields(json: string): string {
  const key = json.indexOf(KEY);
  if (key === -1) return json;
  const end = endOfList(json, key + KEY.length);
  if (end === undefined) return json;
  // One of the commas around it goes with it.
  if (json.charCodeAt(key - 1) === COMMA) return json.slice(0, key - 1) + json.slice(end);
  return json.slice(0, key) + json.slice(json.charCodeAt(end) === COMMA ? end + 1 : end);
}

/** The index after the bracket that closes the list which begins before `start`. */
function endOfList(json: string, start: number): number | undefined {
  let depth = 1;
  let inString = false;
  for (let index = start; index < json.length; index++) {
    const code = json.charCodeAt(index);
    if (inString) {
      if (code === BACKSLASH) index++;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) {
      inString = true;
    } else if (code === OPEN) {
      depth++;
    } else if (code === CLOSE && --depth === 0) {
      return index + 1;
    }
  }
  return undefined;
}
