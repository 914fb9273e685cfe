/** What CopilotSessions say of session ids: whom an id is reserved for, and who else may use its session. */
import type { InformerLike } from '../../kube/cache/informer.ts';
import type { Manager } from '../../kube/runtime/manager.ts';
import { slimMetadata } from '../../kube/types/slim.ts';
import { fromKey, keyOf } from '../../kube/types/types.ts';
import { holderOf } from '../../resources/session-holder.ts';
import { BY_ID, SESSION_INDEXERS, idKey, tenantKeyOf } from '../../resources/session-index.ts';
import { CopilotSession } from '../../resources/session.ts';
import { SessionStalledReason } from '../../api/session-conditions.ts';
import type { SessionSettings, TenantRef } from '../model.ts';
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

/** Keeps of a CopilotSession what reserves an id, what it sets of the session, and what decides which one of several holds it. */
export function slimSession({ apiVersion, kind, metadata, spec, status }: CopilotSession): CopilotSession {
  const { tenantRef, sessionId, owner, participants, model, infiniteSessions, collaboration } = spec;
  const { lifecycle, deletionPolicy } = spec;
  const conditions = status?.conditions?.filter(isOfAnother);
  return {
    apiVersion,
    kind,
    metadata: slimMetadata(metadata),
    spec: {
      tenantRef,
      ...(sessionId !== undefined && { sessionId }),
      ...(owner !== undefined && { owner }),
      ...(participants !== undefined && { participants }),
      ...(model !== undefined && { model }),
      ...(infiniteSessions !== undefined && { infiniteSessions }),
      ...(collaboration !== undefined && { collaboration }),
      lifecycle,
      deletionPolicy,
    },
    ...(status !== undefined && {
      status: {
        ...(status.phase !== undefined && { phase: status.phase }),
        ...(conditions !== undefined && conditions.length > 0 && { conditions }),
      },
    }),
  };
}

/** The operator has found another owner with the session, so the resource does not hold it. */
function isOfAnother({ type, status, reason }: SessionCondition): boolean {
  return type === 'Stalled' && status === 'True' && reason === SessionStalledReason.OwnedByAnother;
}
type SessionCondition = NonNullable<NonNullable<CopilotSession['status']>['conditions']>[number];

function settingsOf({ spec, status }: CopilotSession): SessionSettings | undefined {
  const { model, infiniteSessions, collaboration: { turns } = {} } = spec;
  const settings: SessionSettings = {
    ...(model !== undefined && { model }),
    ...(infiniteSessions !== undefined && { infiniteSessions: inShares(infiniteSessions) }),
    ...(turns !== undefined && { turns }),
  };
  const isHeld = status?.conditions?.some(isOfAnother) !== true;
  return isHeld && Object.keys(settings).length > 0 ? settings : undefined;
}

/** The CLI takes shares of the context window where the resource has percentages. */
function inShares(settings: NonNullable<CopilotSession['spec']['infiniteSessions']>): Record<string, unknown> {
  const shares = Object.entries(settings).map(([key, value]) => [key, typeof value === 'number' ? value / 100 : value]);
  return Object.fromEntries(shares) as Record<string, unknown>;
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
    if (holder === undefined) return undefined;
    const settings = settingsOf(holder);
    const { owner, participants = [] } = holder.spec;
    return { owner, participants, ...(settings && { settings }) };
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
