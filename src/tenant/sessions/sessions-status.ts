/** What the status of a tenant says of its sessions: pure functions of what its servers reported. */
import type { VolumeUsage, CopilotTenantStatus, LastCleanup } from '../../api/tenant-status.ts';
import { type Verdict, findCondition } from '../../kube/write/conditions.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { pressureVerdict, fullest, volumeOf, percentOf, usedOf, seenOf } from './storage-pressure.ts';
import { toldUsage } from './volume-usage.ts';
import { StoragePressureReason, ConditionType } from '../../api/conditions.ts';
import { timestamp } from '../../kube/types/time.ts';

/** The sessions of one server in numbers. */
export interface Figures {
  readonly active: number;
  readonly loaded: number;
  readonly total: number;
  /** What they take of the volume, by an estimate. */
  readonly bytes: number;
  /** When a turn last began, went on or ended, to the minute, ms since the epoch; 0: never. */
  readonly lastActivity: number;
}

export interface Known {
  readonly figures: Figures | undefined;
  readonly capacity: string | undefined;
}

export interface KnownVolume {
  readonly name: string;
  readonly capacity: string | undefined;
  readonly usage: VolumeUsage | undefined;
}

export interface KnownServer extends Known, KnownVolume {}

/** The part of a status that is about sessions. */
export interface SessionsStatus {
  readonly fields: Pick<CopilotTenantStatus, 'sessions' | 'lastActivityTime' | 'storage'>;
  /** Of the condition StoragePressure; undefined: as it was. */
  readonly pressure: Verdict | undefined;
}

/** The status of a tenant whose servers have told these numbers. `waited`: those that have not are not waited for. */
export function sessionsStatus(
  tenant: CopilotTenant,
  servers: readonly KnownServer[],
  waited: boolean,
): SessionsStatus {
  const { spec, status } = tenant;
  const told = { sessions: status?.sessions, lastActivityTime: status?.lastActivityTime, storage: status?.storage };
  const last = lastPressure(tenant);
  const asItWas = last === undefined ? pressureVerdict(undefined, undefined) : undefined;
  const seen = fullestSeen(servers);
  const bySeen = seen && pressureVerdict(seen, last);
  if (spec.suspend || servers.length === 0) {
    // They wait on the volumes, as many and as large as they were.
    const sessions = told.sessions && { ...told.sessions, active: 0, loaded: 0 };
    // Nobody fills them meanwhile: what is seen now is all there is to say, and what was seen before is told already.
    const isNew = servers.some(({ name, usage }) => usage && usage.time !== toldUsage(tenant, name)?.time);
    return { fields: present({ ...told, sessions }), pressure: isNew ? (bySeen ?? asItWas) : asItWas };
  }
  // What was seen can only make it worse than servers say, and than they last said.
  const unheard = bySeen?.status === 'True' && last?.reason !== StoragePressureReason.VolumeFull ? bySeen : asItWas;
  const heard = servers.flatMap(({ figures }) => figures ?? []);
  if (heard.length === 0 || (heard.length < servers.length && !waited)) {
    return { fields: present(told), pressure: unheard };
  }
  const sum = (field: 'active' | 'loaded' | 'total'): number => heard.reduce((total, each) => total + each[field], 0);
  const lastActivity = Math.max(
    Date.parse(told.lastActivityTime ?? '') || 0,
    ...heard.map((each) => each.lastActivity),
  );
  const volume = fullest(
    servers.flatMap(({ name, figures, capacity }) => (figures && volumeOf(name, figures.bytes, capacity)) ?? []),
  );
  // The one that has not been heard may be the fullest.
  const keeps = volume === undefined || (heard.length < servers.length && percentOf(told.storage) > volume.percent);
  return {
    fields: present({
      sessions: { active: sum('active'), loaded: sum('loaded'), total: sum('total') },
      lastActivityTime: lastActivity > 0 ? timestamp(lastActivity) : undefined,
      storage: keeps ? told.storage : { capacity: volume.capacity, used: usedOf(volume) },
    }),
    pressure: keeps ? unheard : pressureVerdict(fullest([volume, ...(seen ? [seen] : [])]), last),
  };
}

/**
 * How many sessions are left of a tenant that does not run, when a cleanup has deleted some since its servers were last
 * asked. The status tells of the run at the same time, so it counts once.
 */
export function keptByCleanup({ spec, status }: CopilotTenant, last: LastCleanup | undefined): number | undefined {
  if (last === undefined || (!spec.suspend && spec.replicas > 0)) return undefined;
  const { time, job } = status?.lastCleanup ?? {};
  const isNew = last.time !== time || last.job !== job;
  const hasDeleted = last.result === 'Succeeded' && last.dryRun !== true && (last.deleted ?? 0) > 0;
  return isNew && hasDeleted ? last.kept : undefined;
}

/** What the status said before, for numbers that are not worth a write yet. */
export function numbersAsTold({ status }: CopilotTenant): SessionsStatus {
  const { sessions, lastActivityTime, storage } = status ?? {};
  return { fields: present({ sessions, lastActivityTime, storage }), pressure: undefined };
}

/** Whether the condition StoragePressure comes to say something else, and not only other numbers. */
export function flips(tenant: CopilotTenant, { pressure }: SessionsStatus): boolean {
  const last = lastPressure(tenant);
  return pressure !== undefined && (pressure.status !== last?.status || pressure.reason !== last.reason);
}

type Fields = { [K in keyof SessionsStatus['fields']]: SessionsStatus['fields'][K] | undefined };

export function present({ sessions, lastActivityTime, storage }: Fields): SessionsStatus['fields'] {
  return {
    ...(sessions !== undefined && { sessions }),
    ...(lastActivityTime !== undefined && { lastActivityTime }),
    ...(storage !== undefined && { storage }),
  };
}

export const lastPressure = ({ status }: CopilotTenant) =>
  findCondition(status?.conditions, ConditionType.StoragePressure);

export const fullestSeen = (volumes: readonly KnownVolume[]) =>
  fullest(volumes.flatMap(({ name, usage, capacity }) => seenOf(name, usage, capacity)));
