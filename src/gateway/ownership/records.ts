/** What CopilotSessions say of session ids: whom an id is reserved for, and who else may use its session. */
import type { InformerLike } from '../../kube/cache/informer.ts';
import type { Manager } from '../../kube/runtime/manager.ts';
import { slimMetadata } from '../../kube/types/slim.ts';
import { fromKey, keyOf } from '../../kube/types/types.ts';
import { holderOf } from '../../resources/session-holder.ts';
import { BY_ID, SESSION_INDEXERS, idKey, tenantKeyOf } from '../../resources/session-index.ts';
import { CopilotSession } from '../../resources/session.ts';
import type { TenantRef } from '../model.ts';
import type { SessionRecord } from './decide.ts';

/** The CopilotSessions that the gateway knows. */
export interface SessionRecords {
  /** Whether all were listed: before that an id may be reserved that seems to be free. */
  readonly isSynced: boolean;
  find(tenant: TenantRef, sessionId: string): SessionRecord | undefined;
  /** Calls `listener` after a change of a CopilotSession of the tenant. */
  onChange(listener: (tenant: TenantRef) => void): void;
}

/** Adds the watch of CopilotSessions to the manager of the process. */
export function addSessionRecords(manager: Pick<Manager, 'informer'>): SessionRecords {
  return new CachedRecords(manager.informer(CopilotSession, { transform: slimSession, indexers: SESSION_INDEXERS }));
}

/** Keeps of a CopilotSession what reserves an id, and what decides which one of several holds it. */
export function slimSession({ apiVersion, kind, metadata, spec, status }: CopilotSession): CopilotSession {
  const { tenantRef, sessionId, owner, participants, lifecycle, deletionPolicy } = spec;
  return {
    apiVersion,
    kind,
    metadata: slimMetadata(metadata),
    spec: {
      tenantRef,
      ...(sessionId !== undefined && { sessionId }),
      ...(owner !== undefined && { owner }),
      ...(participants !== undefined && { participants }),
      lifecycle,
      deletionPolicy,
    },
    ...(status?.phase !== undefined && { status: { phase: status.phase } }),
  };
}

/** By an informer. */
export class CachedRecords implements SessionRecords {
  readonly #sessions: InformerLike<CopilotSession>;

  constructor(sessions: InformerLike<CopilotSession>) {
    this.#sessions = sessions;
  }

  get isSynced(): boolean {
    return this.#sessions.hasSynced();
  }

  find(tenant: TenantRef, sessionId: string): SessionRecord | undefined {
    const found = this.#sessions.store.byIndex(BY_ID, idKey(keyOf(tenant), sessionId));
    const holder = holderOf(found.filter(({ metadata }) => metadata.deletionTimestamp === undefined));
    return holder && { owner: holder.spec.owner, participants: holder.spec.participants ?? [] };
  }

  onChange(listener: (tenant: TenantRef) => void): void {
    const changed = (session: CopilotSession): void => listener(fromKey(tenantKeyOf(session)));
    this.#sessions.addHandler({
      onAdd: changed,
      onUpdate: (_old, session) => changed(session),
      onDelete: changed,
    });
  }
}
