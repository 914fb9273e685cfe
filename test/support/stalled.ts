/** Expectations of a Stalled tenant, wherever a user sees it, and of its recovery. */
import { expect } from '@jest/globals';
import type { StalledReason } from '../../src/api/conditions.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import { conditionOf, type TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

/** Longest time until a tenant is Stalled, in ms: kubelet and provisioner need some time before. */
const STALLED_MS = 60_000;
/** Longest time from the fix to Ready, in ms: what is not watched is polled within a minute, and then a server starts. */
export const RECOVERY_MS = 120_000;

/**
 * Waits until the conditions Stalled and Ready, the column MESSAGE of `kubectl get ct -o wide` and a Warning event have
 * `reason`, and all of `texts` in their message: the object, the problem, the remedy. `serves`: what is refused is beside the
 * servers, which stay Ready.
 */
export async function expectStalled(
  namespace: TestNamespace,
  tenant: string,
  reason: StalledReason,
  texts: readonly string[],
  { serves = false }: { readonly serves?: boolean } = {},
): Promise<CopilotTenant> {
  const hasAll = (text: string): boolean => texts.every((part) => text.includes(part));
  const stalled = await namespace.waitForTenant(
    tenant,
    `is Stalled with ${reason}: ${texts.join(' … ')}`,
    (found) => {
      const [condition, ready] = [conditionOf(found, 'Stalled'), conditionOf(found, 'Ready')];
      return (
        condition.status === 'True' &&
        condition.reason === reason &&
        hasAll(condition.message) &&
        ready.reason === (serves ? 'ServersReady' : reason)
      );
    },
    STALLED_MS,
  );
  expect(conditionOf(stalled, 'Ready').status).toBe(serves ? 'True' : 'False');
  const prefix = serves ? /^\d+ of \d+ servers are ready\. Not as specified: / : '';
  expect(conditionOf(stalled, 'Ready').message.replace(prefix, '')).toBe(conditionOf(stalled, 'Stalled').message);
  expect(conditionOf(stalled, 'Reconciling').status).toBe('False');
  expect(hasAll(await messageColumn(namespace, tenant))).toBe(true);
  await waitFor(
    `an event of ${tenant} has ${reason}`,
    async () => {
      const events = await namespace.events(tenant);
      return events.some((event) => event.type === 'Warning' && event.reason === reason && hasAll(event.message));
    },
    { withinMs: 10_000, everyMs: 200 },
  );
  return stalled;
}

/** Waits until the tenant is Ready without further action, and not Stalled any more. */
export async function expectRecovered(namespace: TestNamespace, tenant: string): Promise<CopilotTenant> {
  const isReady = (found: CopilotTenant): boolean => conditionOf(found, 'Ready').status === 'True';
  const recovered = await namespace.waitForTenant(tenant, 'is Ready without further action', isReady, RECOVERY_MS);
  expect(conditionOf(recovered, 'Stalled')).toMatchObject({ status: 'False', reason: 'NotStalled' });
  return recovered;
}

/** The column MESSAGE of `kubectl get ct -o wide`. */
export async function messageColumn(namespace: TestNamespace, tenant: string): Promise<string> {
  const [header = '', row = ''] = (
    await namespace.kubectl.ok(['get', 'ct', tenant, '-n', namespace.name, '-o', 'wide'])
  ).split('\n');
  return row.slice(header.indexOf('MESSAGE'));
}
