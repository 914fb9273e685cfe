/**
 * `fresh` with each part that `like` has too, at the same place and equal, replaced by that one: two objects then hold it
 * once. What one operator makes is much alike, so that of a thousand Deployments each keeps little but its names.
 * `fresh` is changed; `like` is not, and neither may be from then on.
 */
export function shareStructure<T>(fresh: T, like: unknown): T {
  return share(fresh, like) as T;
}

function share(fresh: unknown, like: unknown): unknown {
  // Equal strings too are two in memory until one stands for both.
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
