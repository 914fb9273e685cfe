/** How many of some things are in each state, for gauges. */

/** States that nothing is in are absent. */
export function countByState<S>(all: Iterable<{ readonly state: S }>): ReadonlyMap<S, number> {
  const counts = new Map<S, number>();
  for (const { state } of all) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}
