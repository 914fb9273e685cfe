/** What somebody who looks at a tenant that can't get on is told, wherever he looks. */
import { expect } from '@jest/globals';
import type { StalledReason } from '../../src/api/conditions.ts';
import type { CopilotTenant } from '../../src/resources/tenant.ts';
import { conditionOf, type TestNamespace } from './cluster.ts';
import { waitFor } from './wait.ts';

/** Longest time until a tenant is told what is wrong, in ms: the kubelet and the provisioner take their time first. */
const TOLD_MS = 60_000;
/** Longest time from the mend to Ready, in ms: what is not watched is looked at within a minute, and then a server starts. */
export const MENDED_MS = 120_000;

/**
 * Waits until the conditions Stalled and Ready, the column MESSAGE of `kubectl get ct -o wide` and a Warning event tell
 * `reason`, and all of `words`: the object, what was found, what to do.
 */
export async function expectTold(
  namespace: TestNamespace,
  tenant: string,
  reason: StalledReason,
  words: readonly string[],
): Promise<CopilotTenant> {
  const hasAll = (text: string): boolean => words.every((word) => text.includes(word));
  const told = await namespace.waitForTenant(
    tenant,
    `is told ${reason}: ${words.join(' … ')}`,
    (found) => {
      const [stalled, ready] = [conditionOf(found, 'Stalled'), conditionOf(found, 'Ready')];
      return (
        stalled.status === 'True' && stalled.reason === reason && hasAll(stalled.message) && ready.reason === reason
      );
    },
    TOLD_MS,
  );
  expect(conditionOf(told, 'Ready').status).toBe('False');
  expect(conditionOf(told, 'Ready').message).toBe(conditionOf(told, 'Stalled').message);
  expect(conditionOf(told, 'Reconciling').status).toBe('False');
  expect(hasAll(await messageColumn(namespace, tenant))).toBe(true);
  await waitFor(
    `an event tells ${reason} of ${tenant}`,
    async () => {
      const events = await namespace.events(tenant);
      return events.some((event) => event.type === 'Warning' && event.reason === reason && hasAll(event.message));
    },
    { withinMs: 10_000, everyMs: 200 },
  );
  return told;
}

/** Waits until the mended tenant is Ready by itself, and nothing of the trouble is left in its conditions. */
export async function expectMended(namespace: TestNamespace, tenant: string): Promise<CopilotTenant> {
  const isReady = (found: CopilotTenant): boolean => conditionOf(found, 'Ready').status === 'True';
  const mended = await namespace.waitForTenant(tenant, 'is Ready by itself', isReady, MENDED_MS);
  expect(conditionOf(mended, 'Stalled')).toMatchObject({ status: 'False', reason: 'NotStalled' });
  return mended;
}

/** The column MESSAGE of `kubectl get ct -o wide`. */
export async function messageColumn(namespace: TestNamespace, tenant: string): Promise<string> {
  const [header = '', row = ''] = (
    await namespace.kubectl.ok(['get', 'ct', tenant, '-n', namespace.name, '-o', 'wide'])
  ).split('\n');
  return row.slice(header.indexOf('MESSAGE'));
}
