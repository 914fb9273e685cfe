/** How the record of a session is written to its Lease, and what is kept of a tenant to one of its own. */
import { createHash } from 'node:crypto';
import { Annotation, FIELD_MANAGER, GATEWAY_APP_NAME, Label } from '../../../api/names.ts';
import type { Lease } from '../../../kube/types/builtins.ts';
import { readRecord, writeRecord } from '../record.ts';
import type { SessionKey, SessionRecord } from '../store.ts';

const COMPONENT = 'session';
/** A label has 63 characters at most. Whoever selects by it compares the key, too. */
const LABEL_CHARACTERS = 63;

/** What a Lease says of a session. */
export interface SessionContent {
  readonly record: SessionRecord | undefined;
}

export const NOTHING: SessionContent = { record: undefined };

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

/** `before`: the Lease as it was read, of which only what is ours is changed. */
export function sessionLease(
  { tenant, session }: SessionKey,
  namespace: string,
  { record }: SessionContent,
  before?: Lease,
): Lease {
  const { [Annotation.sessionRecord]: _record, ...kept } = before?.metadata.annotations ?? {};
  const annotations = {
    ...kept,
    [Annotation.sessionKey]: JSON.stringify([tenant, session]),
    ...(record && { [Annotation.sessionRecord]: writeRecord(record) }),
  };
  const name = nameOfSession({ tenant, session });
  return { ...frame(name, namespace, tenant, annotations, before), spec: { holderIdentity: '' } };
}

/** Undefined: it is not of this session, or somebody has spoilt it. */
export function contentOf(lease: Lease, { tenant, session }: SessionKey): SessionContent | undefined {
  const { annotations = {} } = lease.metadata;
  const text = annotations[Annotation.sessionRecord];
  const record = text === undefined ? undefined : readRecord(text);
  const isIts = annotations[Annotation.sessionKey] === JSON.stringify([tenant, session]);
  return !isIts || (text !== undefined && record === undefined) ? undefined : { record };
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

/** The Lease with what is known of a tenant: the highest epoch of a record that was forgotten. */
export function tenantLease(tenant: string, namespace: string, forgotten: number, before?: Lease): Lease {
  const annotations = {
    ...before?.metadata.annotations,
    [Annotation.sessionKey]: JSON.stringify([tenant]),
    [Annotation.sessionEpochs]: JSON.stringify({ forgotten }),
  };
  return { ...frame(nameOfTenant(tenant), namespace, tenant, annotations, before), spec: { holderIdentity: '' } };
}

/** Undefined: it is not of this tenant, or somebody has spoilt it. */
export function forgottenIn(lease: Lease, tenant: string): number | undefined {
  const { annotations = {} } = lease.metadata;
  if (annotations[Annotation.sessionKey] !== JSON.stringify([tenant])) return undefined;
  const { forgotten } = (parsed(annotations[Annotation.sessionEpochs]) ?? {}) as { readonly forgotten?: unknown };
  return Number.isSafeInteger(forgotten) ? Number(forgotten) : undefined;
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
