/** Refusals of the API server: what its errors mean for the object that was written. */
import { isInvalid, StatusError } from '../types/errors.ts';
import { describe } from '../types/owner.ts';
import type { KubeObject } from '../types/types.ts';

/** The API server refused to write an object: a field is invalid or immutable. */
export class InvalidObjectError extends Error {
  override readonly name = 'InvalidObjectError';
  readonly kind: string;
  readonly objectName: string;
  readonly fields: { field: string; message: string }[];
  /** True if a field is immutable: only a new object can have the new value. */
  readonly immutable: boolean;

  constructor(desired: KubeObject, cause: StatusError) {
    const fields = (cause.details.causes ?? []).map(({ field = '', message = '' }) => ({ field, message }));
    const found = fields.map(({ field, message }) => `${field}: ${message}`).join('; ') || cause.message;
    super(`the API server refused ${describe(desired)}: ${found}`, { cause });
    this.kind = desired.kind;
    this.objectName = desired.metadata.name;
    this.fields = fields;
    this.immutable = /immutable|updates to .* are forbidden/i.test(found);
  }
}

/** The error of a write, for the caller: InvalidObjectError, or Conflict if another object has the name. */
export function writeErrorOf(manifest: KubeObject, error: unknown): unknown {
  if (!(error instanceof StatusError) || !isInvalid(error)) return error;
  const invalid = new InvalidObjectError(manifest, error);
  if (invalid.fields.length === 0 || invalid.fields.some(({ field }) => field !== 'metadata.uid')) return invalid;
  // The UID is a precondition of the apply; if the object has another one by now, the API server answers Invalid and not Conflict.
  const message = `${describe(manifest)} was replaced by another object with the same name`;
  return new StatusError(error, { code: 409, reason: 'Conflict', message });
}

/** The message of the API server, without the request and the code around it. */
export function serverMessage(error: StatusError): string {
  return error.message.replace(`${error.method} ${error.path}: `, '').replace(/ \(\d+( \w+)?\)$/, '');
}

/** Whether the API server's message is about a missing permission; those of quotas and policies, also Forbidden, differ. */
export function isMissingPermission(message: string): boolean {
  return /\bcannot (get|create|update|patch|delete|list|watch) resource\b/.test(message);
}
