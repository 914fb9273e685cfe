/** The cleanup of a tenant, run as a user does with kubectl. */
import { randomBytes } from 'node:crypto';
import type { CopilotTenantSpecInput } from '../../src/api/tenant.ts';
import type { LastCleanup } from '../../src/api/tenant-status.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import type { TestNamespace } from './cluster.ts';
import { askingTestModel } from './model-in-cluster.ts';

/** A tenant with a cleanup that only runs by hand: its schedule is once in four years. Waits until it is Ready. */
export async function tenantThatCleans(
  namespace: TestNamespace,
  name: string,
  sessions: object = {},
  spec: CopilotTenantSpecInput = {},
): Promise<CopilotTenant> {
  await namespace.createTenant(name, {
    server: { binary: 'runtime' },
    sessions: { ttl: '24h', cleanupSchedule: '0 0 29 2 *', ...sessions },
    ...askingTestModel(namespace.name),
    ...spec,
  });
  return namespace.waitForReady(name);
}

/** Starts one run of the tenant's CronJob. Resolves with the name of its Job. */
export async function cleanupJob(namespace: TestNamespace, tenant: string): Promise<string> {
  const job = `${tenant}-by-hand-${randomBytes(3).toString('hex')}`;
  await namespace.kubectl.ok(['create', 'job', job, `--from=cronjob/${tenant}-cleanup`, '-n', namespace.name]);
  return job;
}

/** Runs the cleanup once and waits until the tenant reports the result. */
export async function cleanUp(namespace: TestNamespace, tenant: string): Promise<LastCleanup> {
  const job = await cleanupJob(namespace, tenant);
  const { status } = await namespace.waitForTenant(
    tenant,
    `reports the run ${job}`,
    (found) => found.status?.lastCleanup?.job === job,
  );
  if (status?.lastCleanup === undefined) throw new Error('unreachable: it was just seen');
  return status.lastCleanup;
}
