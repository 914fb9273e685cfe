/** How the record and the lock of a session are written to its Lease, and what is kept of a tenant to one of its own. */
import { createHash } from 'node:crypto';
import { Annotation, FIELD_MANAGER, GATEWAY_APP_NAME, Label } from '../../../api/names.ts';
import { newLeaseSpec } from '../../../kube/runtime/lease-spec.ts';
import type { Lease } from '../../../kube/types/builtins.ts';
import { readRecord, writeRecord } from '../record.ts';
import type { LockHolder, SessionKey, SessionRecord } from '../store.ts';

const COMPONENT = 'session';
/** A label has 63 characters at most. Whoever selects by it compares the key, too. */
const LABEL_CHARACTERS = 63;

/** What a Lease says of a session. */
export interface SessionContent {
  readonly record: SessionRecord | undefined;
  readonly lock: HeldInLease | undefined;
  /** Of the last lock; 0: there was none. */
  readonly lockEpoch: number;
}

/** A lock as it is written. Its times are the holder's: they only tell whether something has changed. */
export interface HeldInLease extends LockHolder {
  readonly seconds: number;
  readonly renewTime: string;
}

/** What is known of a tenant beside its records: epochs that must not be given again. */
export interface TenantEpochs {
  readonly forgotten: number;
  readonly locks: number;
}

export const NOTHING: SessionContent = { record: undefined, lock: undefined, lockEpoch: 0 };
export const NO_EPOCHS: TenantEpochs = { forgotten: 0, locks: 0 };

/** Selects the Leases of a tenant: those of its sessions, and its own. */
export function selectorOf(tenant: string): string {
  return `${Label.name}=${GATEWAY_APP_NAME},${Label.component}=${COMPONENT},${Label.tenantKey}=${labelOf(tenant)}`;
}

/** Name of the Lease of a session: two keys have the same only if SHA-256 has a collision, and then the second one is refused. */
export function nameOfSession({ tenant, session }: SessionKey): string {
  return `copilot-session-${digest([tenant, session])}`;
}

/** Name of the Lease of a tenant. */
export function nameOfTenant(tenant: string): string {
  return `copilot-tenant-${digest([tenant])}`;
}

/** `before`: the Lease as it was read, of which only what is ours is changed. `now` is the wall clock's, ms. */
export function sessionLease(
  { tenant, session }: SessionKey,
  namespace: string,
  { record, lock, lockEpoch }: SessionContent,
  before?: Lease,
): Lease {
  const { [Annotation.sessionRecord]: _record, ...kept } = before?.metadata.annotations ?? {};
  const annotations = {
    ...kept,
    [Annotation.sessionKey]: JSON.stringify([tenant, session]),
    [Annotation.sessionLockEpoch]: String(lockEpoch),
    ...(record && { [Annotation.sessionRecord]: writeRecord(record) }),
  };
  const spec =
    lock === undefined
      ? { holderIdentity: '' }
      : {
          holderIdentity: lock.holder,
          leaseDurationSeconds: lock.seconds,
          acquireTime: lock.renewTime,
          renewTime: lock.renewTime,
        };
  const name = nameOfSession({ tenant, session });
  return { ...frame(name, namespace, tenant, annotations, before), spec };
}

/** A lock that is taken or renewed now. */
export function heldNow({ holder, epoch }: LockHolder, ttlMs: number, now: number): HeldInLease {
  const { leaseDurationSeconds = 1, renewTime = '' } = newLeaseSpec({ identity: holder, durationMs: ttlMs }, now);
  return { holder, epoch, seconds: leaseDurationSeconds, renewTime };
}

/** Undefined: it is not of this session, or somebody has spoilt it. */
export function contentOf(lease: Lease, { tenant, session }: SessionKey): SessionContent | undefined {
  const { annotations = {} } = lease.metadata;
  const lockEpoch = Number(annotations[Annotation.sessionLockEpoch]);
  const text = annotations[Annotation.sessionRecord];
  const record = text === undefined ? undefined : readRecord(text);
  const isIts = annotations[Annotation.sessionKey] === JSON.stringify([tenant, session]);
  if (!isIts || !Number.isSafeInteger(lockEpoch) || (text !== undefined && record === undefined)) return undefined;
  const { holderIdentity: holder = '', leaseDurationSeconds: seconds = 1, renewTime = '' } = lease.spec ?? {};
  const lock = holder === '' ? undefined : { holder, epoch: lockEpoch, seconds, renewTime };
  return { record, lock, lockEpoch };
}

/** The key that a Lease is of; undefined: it is that of a tenant, or none of ours. */
export function keyIn(lease: Lease): SessionKey | undefined {
  const parts = partsIn(lease);
  const [tenant, session] = parts;
  return parts.length === 2 && tenant !== undefined && session !== undefined ? { tenant, session } : undefined;
}

/** Whether a Lease is of this tenant, which its label may say of another one, too. */
export function isOf(lease: Lease, tenant: string): boolean {
  return partsIn(lease)[0] === tenant;
}

/** The Lease with what is known of a tenant. */
export function tenantLease(tenant: string, namespace: string, epochs: TenantEpochs, before?: Lease): Lease {
  const annotations = {
    ...before?.metadata.annotations,
    [Annotation.sessionKey]: JSON.stringify([tenant]),
    [Annotation.sessionEpochs]: JSON.stringify(epochs),
  };
  return { ...frame(nameOfTenant(tenant), namespace, tenant, annotations, before), spec: { holderIdentity: '' } };
}

/** Undefined: it is not of this tenant, or somebody has spoilt it. */
export function epochsIn(lease: Lease, tenant: string): TenantEpochs | undefined {
  const { annotations = {} } = lease.metadata;
  if (annotations[Annotation.sessionKey] !== JSON.stringify([tenant])) return undefined;
  const { forgotten, locks } = (parsed(annotations[Annotation.sessionEpochs]) ?? {}) as Partial<TenantEpochs>;
  return Number.isSafeInteger(forgotten) && Number.isSafeInteger(locks)
    ? { forgotten: Number(forgotten), locks: Number(locks) }
    : undefined;
}

function frame(
  name: string,
  namespace: string,
  tenant: string,
  annotations: Record<string, string>,
  before: Lease | undefined,
): Lease {
  const labels = {
    ...before?.metadata.labels,
    [Label.name]: GATEWAY_APP_NAME,
    [Label.component]: COMPONENT,
    [Label.partOf]: FIELD_MANAGER,
    [Label.tenantKey]: labelOf(tenant),
  };
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...before?.metadata, name, namespace, labels, annotations },
  };
}

function partsIn({ metadata }: Lease): readonly string[] {
  const parts = parsed(metadata.annotations?.[Annotation.sessionKey]);
  return Array.isArray(parts) ? parts.map(String) : [];
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    // Spoilt: the caller reports that.
    return undefined;
  }
}

function labelOf(tenant: string): string {
  return digest([tenant]).slice(0, LABEL_CHARACTERS);
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
