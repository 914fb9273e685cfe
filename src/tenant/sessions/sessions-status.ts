/** Computes the part of the status that is about sessions: pure functions of what servers reported and pods measured. */
import { ConditionType, StoragePressureReason } from '../../api/conditions.ts';
import type { CopilotTenantStatus, LastCleanup, VolumeUsage } from '../../api/tenant-status.ts';
import { timestamp } from '../../kube/types/time.ts';
import { findCondition, type Verdict } from '../../kube/write/conditions.ts';
import { isStopped, type CopilotTenant } from '../../resources/tenant.ts';
import {
  estimatedLevel,
  fullest,
  measuredLevels,
  storagePressureVerdict,
  usedPercent,
  usedQuantity,
} from './storage-pressure.ts';
import { reportedUsage } from './volume-usage.ts';

/** The session counts of one server. */
export interface ServerStatistics {
  readonly active: number;
  readonly loaded: number;
  readonly total: number;
  /** Estimated bytes that they use on the volume. */
  readonly bytes: number;
  /** Last activity of a turn, rounded down to the minute, ms since the epoch; 0: never. */
  readonly lastActivity: number;
}

/** The last report of a server; undefined statistics: none yet. */
export interface LastReport {
  readonly statistics: ServerStatistics | undefined;
  readonly capacity: string | undefined;
}

/** The volume of a server. */
export interface ServerVolume {
  readonly name: string;
  readonly capacity: string | undefined;
  readonly usage: VolumeUsage | undefined;
}

/** A server with its volume and its last report. */
export interface ServerReport extends LastReport, ServerVolume {}

/** The part of a status that is about sessions. */
export interface SessionsStatus {
  readonly fields: Pick<CopilotTenantStatus, 'sessions' | 'lastActivityTime' | 'storage' | 'clients'>;
  /** Verdict for the condition StoragePressure; undefined: unchanged. */
  readonly pressure: Verdict | undefined;
}

/** The status of a tenant with these servers. `graceOver`: servers without a report are not waited for any longer. */
export function sessionsStatus(
  tenant: CopilotTenant,
  servers: readonly ServerReport[],
  graceOver: boolean,
): SessionsStatus {
  const { status } = tenant;
  const last = { sessions: status?.sessions, lastActivityTime: status?.lastActivityTime, storage: status?.storage };
  const lastPressure = reportedPressure(tenant);
  const unchanged = lastPressure === undefined ? storagePressureVerdict(undefined, undefined) : undefined;
  const measured = fullestMeasured(servers);
  const measuredPressure = measured && storagePressureVerdict(measured, lastPressure);
  if (isStopped(tenant) || servers.length === 0) {
    // The sessions remain on the volumes.
    const sessions = last.sessions && { ...last.sessions, active: 0, loaded: 0 };
    // The volumes do not fill up meanwhile: only a measurement that is not in the status yet can change the condition.
    const isNew = servers.some(({ name, usage }) => usage && usage.time !== reportedUsage(tenant, name)?.time);
    return {
      fields: definedFields({ ...last, sessions }),
      pressure: isNew ? (measuredPressure ?? unchanged) : unchanged,
    };
  }
  // Without reports of the servers, a measurement can only make the condition worse.
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
  // The volume of a server without a report may be the fullest.
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
 * How many sessions remain after a cleanup of a tenant that does not run. Undefined if the last run deleted none, or is in the
 * status already.
 */
export function remainingAfterCleanup(tenant: CopilotTenant, last: LastCleanup | undefined): number | undefined {
  const { spec, status } = tenant;
  if (last === undefined || (!isStopped(tenant) && spec.replicas > 0)) return undefined;
  const { time, job } = status?.lastCleanup ?? {};
  const isNew = last.time !== time || last.job !== job;
  const hasDeleted = last.result === 'Succeeded' && last.dryRun !== true && (last.deleted ?? 0) > 0;
  return isNew && hasDeleted ? last.kept : undefined;
}

/** The statistics that are in the status already. */
export function reportedSessions({ status }: CopilotTenant): SessionsStatus {
  const { sessions, lastActivityTime, storage, clients } = status ?? {};
  return { fields: definedFields({ sessions, lastActivityTime, storage, clients }), pressure: undefined };
}

/** Whether the status or the reason of the condition StoragePressure changes. */
export function pressureChanged(tenant: CopilotTenant, { pressure }: SessionsStatus): boolean {
  const lastPressure = reportedPressure(tenant);
  return (
    pressure !== undefined && (pressure.status !== lastPressure?.status || pressure.reason !== lastPressure.reason)
  );
}

type Fields = { [K in Exclude<keyof SessionsStatus['fields'], 'clients'>]: SessionsStatus['fields'][K] | undefined } & {
  readonly clients?: number | undefined;
};

/** The fields without those that are undefined, so that equal statuses compare equal. */
export function definedFields({ sessions, lastActivityTime, storage, clients }: Fields): SessionsStatus['fields'] {
  return {
    ...(sessions !== undefined && { sessions }),
    ...(lastActivityTime !== undefined && { lastActivityTime }),
    ...(storage !== undefined && { storage }),
    ...(clients !== undefined && { clients }),
  };
}

/** The condition StoragePressure in the status. */
export const reportedPressure = ({ status }: CopilotTenant) =>
  findCondition(status?.conditions, ConditionType.StoragePressure);

/** The fullest volume by the last measurements. */
export const fullestMeasured = (volumes: readonly ServerVolume[]) =>
  fullest(volumes.flatMap(({ name, usage, capacity }) => measuredLevels(name, usage, capacity)));
