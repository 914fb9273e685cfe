/** Plays the Deployment controller and the kubelet while an operator replaces servers, and watches how many it replaces at a time. */
import { Deployment, Pod } from '../../src/kube/types/builtins.ts';
import { serverIndex, tenantOfServer } from '../../src/resources/names.ts';
import { isObserved } from '../../src/tenant/deployments.ts';
import type { ReconcilerWorld } from './reconciler-world.ts';

/** The names of the Deployments that were changed and whose pods were not replaced yet. */
export async function beingReplaced(world: ReconcilerWorld): Promise<string[]> {
  const { items } = await world.client.listAll(Deployment, { namespace: world.namespace });
  return items
    .filter((live) => !isObserved(live) && (live.spec?.replicas ?? 0) > 0)
    .map(({ metadata }) => metadata.name)
    .toSorted();
}

/** Replaces the pod of a server; the new one responds, or stays silent. */
export async function replacePod(world: ReconcilerWorld, server: string, responds = true): Promise<void> {
  const tenant = tenantOfServer(server);
  const selector = { labelSelector: `copilot-operator.dev/server=${server}` };
  const { items } = await world.client.listAll(Pod, { namespace: world.namespace, ...selector });
  for (const pod of items) await world.removePod(pod);
  // As the pinger: what was known of the old pod is forgotten.
  world.health.remove(`${world.namespace}/${server}`);
  await world.startPod(tenant, serverIndex(tenant, server) ?? 0);
  await world.settle();
  if (responds) world.health.set(`${world.namespace}/${server}`, { state: 'Healthy', version: '1.0', since: 0 });
  await world.reconcile(tenant);
  await world.settle();
  // A change of annotations alone is a new generation of a Deployment too.
  await world.observeDeployment(server, { replicas: 1, updatedReplicas: 1 });
  await world.settle();
}

/** Lets the roll-out go on until nothing is replaced any more. Returns what was replaced at the same time, in this order. */
export async function playRollout(world: ReconcilerWorld): Promise<string[][]> {
  const batches: string[][] = [];
  for (;;) {
    await world.settle();
    const servers = await beingReplaced(world);
    if (servers.length === 0) return batches;
    batches.push(servers);
    if (batches.length > 100) throw new Error(`the roll-out does not end: ${JSON.stringify(batches.slice(-3))}`);
    for (const server of servers) await replacePod(world, server);
  }
}
