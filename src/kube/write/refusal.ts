/** Refusals of the API server: what its errors say about the object that was written. */
import { isInvalid, StatusError } from '../types/errors.ts';
import { describe } from '../types/owner.ts';
import type { KubeObject } from '../types/types.ts';

/** The API server does not take what was to be written: a field is invalid, or can't be changed any more. */
export class InvalidObjectError extends Error {
  override readonly name = 'InvalidObjectError';
  readonly kind: string;
  readonly objectName: string;
  readonly fields: { field: string; message: string }[];
  /** True when a field can't be changed once it is set: only a new object can have the new value. */
  readonly immutable: boolean;

  constructor(desired: KubeObject, cause: StatusError) {
    const fields = (cause.details.causes ?? []).map(({ field = '', message = '' }) => ({ field, message }));
    const found = fields.map(({ field, message }) => `${field}: ${message}`).join('; ') || cause.message;
    super(`${describe(desired)} is refused by the API server: ${found}`, { cause });
    this.kind = desired.kind;
    this.objectName = desired.metadata.name;
    this.fields = fields;
    this.immutable = /immutable|updates to .* are forbidden/i.test(found);
  }
}

/** The error of a write as the caller should see it. */
export function writeErrorOf(manifest: KubeObject, error: unknown): unknown {
  if (!(error instanceof StatusError) || !isInvalid(error)) return error;
  const invalid = new InvalidObjectError(manifest, error);
  if (invalid.fields.length === 0 || invalid.fields.some(({ field }) => field !== 'metadata.uid')) return invalid;
  // The UID is a precondition of the apply; an object that has another one by now is answered like this and not with 409.
  const message = `${describe(manifest)} was replaced by another object of its name`;
  return new StatusError(error, { code: 409, reason: 'Conflict', message });
}

/** What the API server said, without the request and the code around it. */
export function serverMessage(error: StatusError): string {
  return error.message.replace(`${error.method} ${error.path}: `, '').replace(/ \(\d+( \w+)?\)$/, '');
}

/** Whether the API server's message says that a role lacks a permission; a quota or a policy is forbidden in other words. */
export function isMissingPermission(message: string): boolean {
  return /\bcannot (get|create|update|patch|delete|list|watch) resource\b/.test(message);
}
