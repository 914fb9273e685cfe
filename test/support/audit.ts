/**
 * What the API server was asked, from its own audit log: the only witness that can't be wrong. The log is the local
 * cluster's `.cluster/audit.log`, one JSON object a line (docs/local-cluster.md); another cluster's can't be read.
 */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const LOG = join(import.meta.dirname, '../../.cluster/audit.log');

/** An answered request for a resource, or a watch that has started. */
export interface AuditRecord {
  /** When it arrived, wall clock, ms. */
  at: number;
  verb: string;
  group: string;
  /** As in RBAC: `pods`, `copilottenants/status`. */
  resource: string;
  namespace: string;
  /** Empty for requests without a name: list and create. */
  name: string;
  user: string;
  /** The pod of the service account token. */
  pod?: string;
  userAgent: string;
  /** HTTP status of the answer. */
  code: number;
}

interface RawRecord {
  stage: string;
  verb: string;
  requestReceivedTimestamp: string;
  user: { username: string; extra?: Record<string, string[]> };
  userAgent?: string;
  objectRef?: { apiGroup?: string; resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number };
}

/** Requests that are not answered yet, and those for no resource (/readyz, say), are undefined. */
export function parseRecord(line: string): AuditRecord | undefined {
  const raw = JSON.parse(line) as RawRecord;
  const { objectRef, user, verb } = raw;
  // A watch that still runs has only begun.
  const counts = raw.stage === 'ResponseComplete' || (raw.stage === 'ResponseStarted' && verb === 'watch');
  if (!counts || !objectRef?.resource) return undefined;
  const { apiGroup = '', resource, subresource, namespace = '', name = '' } = objectRef;
  const pod = user.extra?.['authentication.kubernetes.io/pod-name']?.[0];
  return {
    at: Date.parse(raw.requestReceivedTimestamp),
    verb,
    group: apiGroup,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    namespace,
    name,
    user: user.username,
    ...(pod !== undefined && { pod }),
    userAgent: raw.userAgent ?? '',
    code: raw.responseStatus?.code ?? 0,
  };
}

/** A place in the log; it outlives a rotation. */
export interface AuditMark {
  inode: number;
  size: number;
}

export function auditMark(): AuditMark {
  if (process.env['CLUSTER'] === 'current')
    throw new Error('this takes the audit log of the local cluster: run it without CLUSTER=current');
  const { ino, size } = statSync(LOG);
  return { inode: ino, size };
}

/** The records after the mark, in the order of the answers; only of lines that contain `text`, which is faster. */
export function recordsSince(mark: AuditMark, text: string): AuditRecord[] {
  return linesSince(mark)
    .filter((line) => line.includes(text))
    .flatMap((line) => parseRecord(line) ?? []);
}

function linesSince(mark: AuditMark): string[] {
  const current = realpathSync(LOG);
  // The API server moves a full log aside as `audit-<time>.log`, so by name the current one comes last.
  const logs = readdirSync(dirname(current))
    .filter((name) => /^audit-.+\.log$/.test(name))
    .toSorted()
    .map((name) => join(dirname(current), name));
  const files = [...logs, current];
  const first = files.findIndex((path) => statSync(path).ino === mark.inode);
  if (first === -1) throw new Error('the audit log of that time is gone: it was rotated several times since');
  return files.slice(first).flatMap((path, index) => {
    const content = readFileSync(path).subarray(index === 0 ? mark.size : 0);
    // The last line may be incomplete.
    return content
      .subarray(0, content.lastIndexOf('\n') + 1)
      .toString('utf8')
      .split('\n')
      .filter(Boolean);
  });
}

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** Whether it requested a change, granted or not. */
export function isWrite({ verb }: AuditRecord): boolean {
  return WRITES.has(verb);
}
