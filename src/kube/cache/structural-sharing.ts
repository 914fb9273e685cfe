/** Structural sharing: equal parts of cached objects are in memory once. */

/**
 * Replaces every part of `fresh` that equals the part at the same path of `like` by that one, so that both are in
 * memory once. The objects that an operator creates are much alike: of a thousand Deployments each keeps little but its names.
 * `fresh` is modified; from then on neither may be.
 */
export function shareStructure<T>(fresh: T, like: unknown): T {
  return share(fresh, like) as T;
}

function share(fresh: unknown, like: unknown): unknown {
  // Equal strings, too, are in memory twice unless shared.
  if (!isContainer(fresh) || !isContainer(like)) return fresh === like ? like : fresh;
  const keys = Object.keys(fresh);
  let equal = Array.isArray(fresh) === Array.isArray(like) && keys.length === Object.keys(like).length;
  for (const key of keys) {
    if (!Object.hasOwn(like, key)) {
      equal = false;
      continue;
    }
    const part = share(fresh[key], like[key]);
    fresh[key] = part;
    equal &&= part === like[key];
  }
  return equal ? like : fresh;
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
