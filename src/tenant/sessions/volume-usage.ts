/** How full volumes are, by those who had them mounted: the pods of cleanups and sweeps, with their last words. */
import type { VolumeUsage } from '../../api/tenant-status.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { isClaimOf, serverName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { isSharedFileSystem } from './storage-pressure.ts';
import type { ServerWorld } from '../model.ts';
import { podResult } from '../termination-message.ts';

export interface VolumeUsagesInput {
  readonly tenant: CopilotTenant;
  readonly servers: ReadonlyMap<number, ServerWorld>;
  /** Pods of the tenant that are no server's. */
  readonly pods: readonly Pod[];
}

/** The last that was measured of the volume of each wanted server, by its index: reported already, or by a pod that is still there. */
export function volumeUsages({ tenant, servers, pods }: VolumeUsagesInput): Map<number, VolumeUsage> {
  const usages = new Map<number, VolumeUsage>();
  for (const { index, claim } of servers.values()) {
    if (index >= tenant.spec.replicas || claim === undefined || !isClaimOf(claim, tenant)) continue;
    const name = serverName(tenant.metadata.name, index);
    const capacity = claim.status?.capacity?.['storage'];
    const reported = reportedUsage(tenant, name);
    const measured = [
      ...(reported ? [reported] : []),
      ...(capacity === undefined ? [] : measuredBy(pods, name, capacity)),
    ]
      // What was measured before the claim was made was another volume.
      .filter(({ time }) => time >= (claim.metadata.creationTimestamp ?? ''));
    // Of two of one second the one that was reported stays.
    const last = measured.reduce<VolumeUsage | undefined>(
      (a, b) => (a === undefined || b.time > a.time ? b : a),
      undefined,
    );
    if (last !== undefined) usages.set(index, last);
  }
  return usages;
}

/** What the status says of the volume of a server. */
export function reportedUsage({ status }: CopilotTenant, name: string): VolumeUsage | undefined {
  return status?.servers?.find((server) => server.name === name)?.volumeUsage;
}

function measuredBy(pods: readonly Pod[], server: string, capacity: string): VolumeUsage[] {
  return pods.flatMap((pod) => {
    const { result, time } = podResult(pod) ?? {};
    const measured = result?.volumes?.find(({ name }) => name === server);
    if (measured === undefined || typeof time !== 'string') return [];
    const { space, size, files } = measured;
    const shared = isSharedFileSystem(size, capacity);
    return [{ time, space, ...(files !== undefined && { files }), ...(shared && { shared }), capacity }];
  });
}
