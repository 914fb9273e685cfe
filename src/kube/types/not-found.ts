/** For reads of objects that may not exist. */
import { isNotFound } from './errors.ts';

/** `undefined` instead of a NotFound error. */
export async function ignoreNotFound<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
