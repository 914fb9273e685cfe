/** How full volumes are, by those who had them mounted: the pods of cleanups and sweeps, with their last words. */
import type { VolumeUsage } from '../../api/tenant-status.ts';
import type { Pod } from '../../kube/types/builtins.ts';
import { isClaimOf, serverName } from '../../resources/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import { isShared } from './storage-pressure.ts';
import type { ServerWorld } from '../model.ts';
import { lastWord } from '../termination-message.ts';

export interface VolumeUsagesInput {
  readonly tenant: CopilotTenant;
  readonly servers: ReadonlyMap<number, ServerWorld>;
  /** Pods of the tenant that are no server's. */
  readonly pods: readonly Pod[];
}

/** The last that was seen of the volume of each wanted server, by its index: told already, or by a pod that is still there. */
export function volumeUsages({ tenant, servers, pods }: VolumeUsagesInput): Map<number, VolumeUsage> {
  const usages = new Map<number, VolumeUsage>();
  for (const { index, claim } of servers.values()) {
    if (index >= tenant.spec.replicas || claim === undefined || !isClaimOf(claim, tenant)) continue;
    const name = serverName(tenant.metadata.name, index);
    const capacity = claim.status?.capacity?.['storage'];
    const told = toldUsage(tenant, name);
    const seen = [...(told ? [told] : []), ...(capacity === undefined ? [] : seenBy(pods, name, capacity))]
      // What was seen before the claim was made was another volume.
      .filter(({ time }) => time >= (claim.metadata.creationTimestamp ?? ''));
    // Of two of one second the one that was told stays.
    const last = seen.reduce<VolumeUsage | undefined>(
      (a, b) => (a === undefined || b.time > a.time ? b : a),
      undefined,
    );
    if (last !== undefined) usages.set(index, last);
  }
  return usages;
}

/** What the status says of the volume of a server. */
export function toldUsage({ status }: CopilotTenant, name: string): VolumeUsage | undefined {
  return status?.servers?.find((server) => server.name === name)?.volumeUsage;
}

function seenBy(pods: readonly Pod[], server: string, capacity: string): VolumeUsage[] {
  return pods.flatMap((pod) => {
    const { word, time } = lastWord(pod) ?? {};
    const fill = word?.volumes?.find(({ name }) => name === server);
    if (fill === undefined || typeof time !== 'string') return [];
    const { space, size, files } = fill;
    const shared = isShared(size, capacity);
    return [{ time, space, ...(files !== undefined && { files }), ...(shared && { shared }), capacity }];
  });
}
