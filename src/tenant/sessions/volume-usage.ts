/** Finds the last measured usage of volumes, in the status and in the termination messages of cleanup and sweep pods. */
import type { VolumeUsage } from '../../api/tenant-status.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { claimName, isClaimOf, serverName } from '../../resources/names.ts';
import { isSharedStorage, type CopilotTenant } from '../../resources/tenant.ts';
import type { ServerWorld } from '../model.ts';
import { podResult } from '../../resources/termination-message.ts';
import { isSharedFileSystem } from './storage-pressure.ts';

/** Where measurements are found. */
export interface VolumeUsagesInput {
  readonly tenant: CopilotTenant;
  readonly servers: ReadonlyMap<number, ServerWorld>;
  /** Pods of the tenant that belong to no server. */
  readonly pods: readonly Pod[];
}

/** The last measured usage of the volume of each desired server, by its index. */
export function volumeUsages({ tenant, servers, pods }: VolumeUsagesInput): Map<number, VolumeUsage> {
  const usages = new Map<number, VolumeUsage>();
  for (const { index, claim } of servers.values()) {
    if (index >= tenant.spec.replicas || claim === undefined || !isClaimOf(claim, tenant)) continue;
    const name = serverName(tenant.metadata.name, index);
    const capacity = claim.status?.capacity?.['storage'];
    const reported = reportedUsage(tenant, name);
    const measured = [
      ...(reported ? [reported] : []),
      ...(capacity === undefined ? [] : measuredBy(pods, claimName(tenant, index), capacity)),
    ]
      // A measurement from before the creation of the claim is of another volume.
      .filter(({ time }) => time >= (claim.metadata.creationTimestamp ?? ''));
    // Of two measurements of the same second the reported one stays.
    const last = measured.reduce<VolumeUsage | undefined>(
      (a, b) => (a === undefined || b.time > a.time ? b : a),
      undefined,
    );
    if (last !== undefined) usages.set(index, last);
  }
  return usages;
}

/** The usage of a server's volume in the status. Of a volume that all share, each server has it. */
export function reportedUsage(tenant: CopilotTenant, name: string): VolumeUsage | undefined {
  const servers = tenant.status?.servers ?? [];
  if (isSharedStorage(tenant)) return servers.find(({ volumeUsage }) => volumeUsage !== undefined)?.volumeUsage;
  return servers.find((server) => server.name === name)?.volumeUsage;
}

function measuredBy(pods: readonly Pod[], volume: string, capacity: string): VolumeUsage[] {
  return pods.flatMap((pod) => {
    const { result, time } = podResult(pod) ?? {};
    const measured = result?.volumes?.find(({ name }) => name === volume);
    if (measured === undefined || typeof time !== 'string') return [];
    const { space, size, files } = measured;
    const shared = isSharedFileSystem(size, capacity);
    return [{ time, space, ...(files !== undefined && { files }), ...(shared && { shared }), capacity }];
  });
}
