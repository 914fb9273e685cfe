/** Freezes cached objects, so that a mistake that modifies one fails at once: for tests, as client-go's cache mutation detector. */

/** Freezes a value with all its parts. A part that is frozen already is taken to be so to the bottom: equal parts are shared. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
