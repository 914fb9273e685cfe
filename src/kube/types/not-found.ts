/** Reads whose object may be missing. */
import { isNotFound } from './errors.ts';

/** `undefined` instead of a NotFound error, for reads whose object may be gone. */
export async function ignoreNotFound<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
