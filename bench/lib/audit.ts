// What the operator asked of the API server, from the API server's own audit log: the only witness that cannot be wrong.
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

const path = join(import.meta.dirname, '../../.cluster/audit.log');

export interface AuditRecord {
  verb: string;
  resource: string;
  subresource?: string;
  userAgent: string;
  code: number;
}

interface RawRecord {
  stage: string;
  verb: string;
  userAgent?: string;
  objectRef?: { resource?: string; subresource?: string };
  responseStatus?: { code?: number };
}

/** Marks a place in the log; `records` gives what came after it. */
export function auditMark(): number {
  return statSync(path).size;
}

/** Completed requests since the mark whose user agent starts with `agent`. Throws when the log was rotated meanwhile. */
export function recordsSince(mark: number, agent: string): AuditRecord[] {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    if (size < mark) throw new Error('the audit log was rotated during the measurement: run it again');
    const buffer = Buffer.alloc(size - mark);
    readSync(file, buffer, 0, buffer.length, mark);
    return buffer
      .toString('utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'))
      .map((line) => JSON.parse(line) as RawRecord)
      .filter((record) => record.stage === 'ResponseComplete' && (record.userAgent ?? '').startsWith(agent))
      .map((record) => ({
        verb: record.verb,
        resource: record.objectRef?.resource ?? '',
        ...(record.objectRef?.subresource !== undefined && { subresource: record.objectRef.subresource }),
        userAgent: record.userAgent ?? '',
        code: record.responseStatus?.code ?? 0,
      }));
  } finally {
    closeSync(file);
  }
}

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

export function isWrite(record: AuditRecord): boolean {
  return WRITES.has(record.verb);
}
