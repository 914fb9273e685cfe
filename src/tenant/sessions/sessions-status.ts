/** What the status of a tenant says of its sessions: pure functions of what its servers reported. */
import type { VolumeUsage, CopilotTenantStatus, LastCleanup } from '../../api/tenant-status.ts';
import { type Verdict, findCondition } from '../../kube/write/conditions.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import {
  storagePressureVerdict,
  fullest,
  estimatedLevel,
  usedPercent,
  usedQuantity,
  measuredLevels,
} from './storage-pressure.ts';
import { reportedUsage } from './volume-usage.ts';
import { StoragePressureReason, ConditionType } from '../../api/conditions.ts';
import { timestamp } from '../../kube/types/time.ts';

/** The sessions of one server in numbers. */
export interface ServerStatistics {
  readonly active: number;
  readonly loaded: number;
  readonly total: number;
  /** What they take of the volume, by an estimate. */
  readonly bytes: number;
  /** When a turn last began, went on or ended, to the minute, ms since the epoch; 0: never. */
  readonly lastActivity: number;
}

export interface LastReport {
  readonly statistics: ServerStatistics | undefined;
  readonly capacity: string | undefined;
}

export interface ServerVolume {
  readonly name: string;
  readonly capacity: string | undefined;
  readonly usage: VolumeUsage | undefined;
}

export interface ServerReport extends LastReport, ServerVolume {}

/** The part of a status that is about sessions. */
export interface SessionsStatus {
  readonly fields: Pick<CopilotTenantStatus, 'sessions' | 'lastActivityTime' | 'storage'>;
  /** Of the condition StoragePressure; undefined: as it was. */
  readonly pressure: Verdict | undefined;
}

/** The status of a tenant whose servers have told these numbers. `graceOver`: those that have not are not waited for. */
export function sessionsStatus(
  tenant: CopilotTenant,
  servers: readonly ServerReport[],
  graceOver: boolean,
): SessionsStatus {
  const { spec, status } = tenant;
  const last = { sessions: status?.sessions, lastActivityTime: status?.lastActivityTime, storage: status?.storage };
  const lastPressure = reportedPressure(tenant);
  const unchanged = lastPressure === undefined ? storagePressureVerdict(undefined, undefined) : undefined;
  const measured = fullestMeasured(servers);
  const measuredPressure = measured && storagePressureVerdict(measured, lastPressure);
  if (spec.suspend || servers.length === 0) {
    // They wait on the volumes, as many and as large as they were.
    const sessions = last.sessions && { ...last.sessions, active: 0, loaded: 0 };
    // Nobody fills them meanwhile: what is measured now is all there is to say, and what was measured before is told already.
    const isNew = servers.some(({ name, usage }) => usage && usage.time !== reportedUsage(tenant, name)?.time);
    return {
      fields: definedFields({ ...last, sessions }),
      pressure: isNew ? (measuredPressure ?? unchanged) : unchanged,
    };
  }
  // What was measured can only make it worse than servers say, and than they last said.
  const pressureWithoutAnswers =
    measuredPressure?.status === 'True' && lastPressure?.reason !== StoragePressureReason.VolumeFull
      ? measuredPressure
      : unchanged;
  const answered = servers.flatMap(({ statistics }) => statistics ?? []);
  if (answered.length === 0 || (answered.length < servers.length && !graceOver)) {
    return { fields: definedFields(last), pressure: pressureWithoutAnswers };
  }
  const sum = (field: 'active' | 'loaded' | 'total'): number =>
    answered.reduce((total, each) => total + each[field], 0);
  const lastActivity = Math.max(
    Date.parse(last.lastActivityTime ?? '') || 0,
    ...answered.map((each) => each.lastActivity),
  );
  const volume = fullest(
    servers.flatMap(
      ({ name, statistics, capacity }) => (statistics && estimatedLevel(name, statistics.bytes, capacity)) ?? [],
    ),
  );
  // The one that has not answered may be the fullest.
  const keepsLast =
    volume === undefined || (answered.length < servers.length && usedPercent(last.storage) > volume.percent);
  return {
    fields: definedFields({
      sessions: { active: sum('active'), loaded: sum('loaded'), total: sum('total') },
      lastActivityTime: lastActivity > 0 ? timestamp(lastActivity) : undefined,
      storage: keepsLast ? last.storage : { capacity: volume.capacity, used: usedQuantity(volume) },
    }),
    pressure: keepsLast
      ? pressureWithoutAnswers
      : storagePressureVerdict(fullest([volume, ...(measured ? [measured] : [])]), lastPressure),
  };
}

/**
 * How many sessions are left of a tenant that does not run, when a cleanup has deleted some since its servers were last
 * asked. The status tells of the run at the same time, so it counts once.
 */
export function remainingAfterCleanup(
  { spec, status }: CopilotTenant,
  last: LastCleanup | undefined,
): number | undefined {
  if (last === undefined || (!spec.suspend && spec.replicas > 0)) return undefined;
  const { time, job } = status?.lastCleanup ?? {};
  const isNew = last.time !== time || last.job !== job;
  const hasDeleted = last.result === 'Succeeded' && last.dryRun !== true && (last.deleted ?? 0) > 0;
  return isNew && hasDeleted ? last.kept : undefined;
}

/** What the status said before, for numbers that are not worth a write yet. */
export function reportedSessions({ status }: CopilotTenant): SessionsStatus {
  const { sessions, lastActivityTime, storage } = status ?? {};
  return { fields: definedFields({ sessions, lastActivityTime, storage }), pressure: undefined };
}

/** Whether the condition StoragePressure comes to say something else, and not only other numbers. */
export function pressureChanged(tenant: CopilotTenant, { pressure }: SessionsStatus): boolean {
  const lastPressure = reportedPressure(tenant);
  return (
    pressure !== undefined && (pressure.status !== lastPressure?.status || pressure.reason !== lastPressure.reason)
  );
}

type Fields = { [K in keyof SessionsStatus['fields']]: SessionsStatus['fields'][K] | undefined };

export function definedFields({ sessions, lastActivityTime, storage }: Fields): SessionsStatus['fields'] {
  return {
    ...(sessions !== undefined && { sessions }),
    ...(lastActivityTime !== undefined && { lastActivityTime }),
    ...(storage !== undefined && { storage }),
  };
}

export const reportedPressure = ({ status }: CopilotTenant) =>
  findCondition(status?.conditions, ConditionType.StoragePressure);

export const fullestMeasured = (volumes: readonly ServerVolume[]) =>
  fullest(volumes.flatMap(({ name, usage, capacity }) => measuredLevels(name, usage, capacity)));
