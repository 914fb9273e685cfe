// Manifests kept in git show no difference once the operator is up to date: neither the chart nor a sample.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { CHART, helm, REQUIRED_VALUES } from '../../support/chart.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { PROJECT } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(7 * READY_MS);

const SAMPLES = join(PROJECT, 'config/samples');
const samples = (parse(readFileSync(join(SAMPLES, 'kustomization.yaml'), 'utf8')) as { resources: string[] }).resources;

/**
 * How a client-side apply is looked at on the server's side: under its own name, or kubectl would write its annotation anew, which is a
 * difference of its own making; and what differs is a difference and no conflict.
 */
const AS_BEFORE = ['--server-side', '--force-conflicts', '--field-manager=kubectl-client-side-apply'];

describe.each([
  ['kubectl apply --server-side', ['--server-side'], [['--server-side'], []]],
  ['kubectl apply', [], [AS_BEFORE, []]],
])('after %s, once the operator has settled', (_command, flags, looks) => {
  let namespace: TestNamespace;
  let chart: string;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    chart = await renderedFor(namespace.name);
    await kubectl(['apply', ...flags, '-f', '-'], chart);
    await kubectl(['rollout', 'status', 'deployment', '--timeout=2m']);
    await kubectl(['apply', ...flags, '-k', SAMPLES]);
    const isSettled = async () => {
      const missing = await unsettled(namespace);
      if (missing.length > 0) throw new Error(missing.join('; '));
      return true;
    };
    await waitFor('tenants and sessions have settled', isSettled, { withinMs: 4 * READY_MS, everyMs: 500 });
  });
  afterAll(async () => {
    // While the operator is there to let go of them.
    await kubectl(['delete', '--ignore-not-found', '--timeout=2m', '-k', SAMPLES]);
    await kubectl(['delete', '--ignore-not-found', '--timeout=2m', '-f', '-'], chart);
    await namespace.close();
  });

  const kubectl = (args: string[], input?: string) => namespace.kubectl.ok([...args, '-n', namespace.name], input);

  // Whoever applied in one way may look in the other.
  describe.each(looks.map((look) => [['kubectl diff', ...look].join(' '), look] as const))('by %s', (_name, look) => {
    /** What it says; it ends with 1 when there is a difference. */
    const diff = async (args: string[], input?: string) => {
      const { code, stdout, stderr } = await namespace.kubectl.try(
        ['diff', ...look, ...args, '-n', namespace.name],
        input,
      );
      return { code, said: stdout + stderr };
    };

    it.each(samples)('the sample %s differs in nothing', async (sample) => {
      expect(await diff(['-f', join(SAMPLES, sample)])).toEqual({ code: 0, said: '' });
    });

    it('the chart differs in nothing', async () => {
      expect(await diff(['-f', '-'], chart)).toEqual({ code: 0, said: '' });
    });

    it('a difference would be seen', async () => {
      const { code, said } = await diff(['-f', '-'], chart.replace('--log-level=info', '--log-level=debug'));
      expect(code).toBe(1);
      expect(said).toContain('+        - --log-level=debug');
    });
  });
});

it('the CRDs differ in nothing from what the cluster made of them', async () => {
  const namespace = await TestNamespace.open();
  try {
    for (const crd of readdirSync(join(PROJECT, 'crds'))) {
      const args = ['diff', '--server-side', '--force-conflicts', '-f', join(PROJECT, 'crds', crd)];
      expect(await namespace.kubectl.try(args)).toEqual({ code: 0, stdout: '', stderr: '' });
    }
  } finally {
    await namespace.close();
  }
});

/**
 * The chart's manifests for the tenants of a namespace. The CRDs are the whole cluster's: that the chart with them differs in nothing is
 * shown on an API server of its own (test/integration/install/no-diff.test.ts).
 */
function renderedFor(namespace: string): Promise<string> {
  // The samples ask for 1.4 CPUs of a node that may have two.
  const resources = { requests: { cpu: '10m', memory: '128Mi' } };
  const own = { watchNamespaces: [namespace], crds: { install: false } };
  const values = { ...REQUIRED_VALUES, ...own, resources, gateway: { resources } };
  return helm(['template', namespace, CHART, '--namespace', namespace], values);
}

/** Tenants that wait for a node of a pool, or of AKS, which the local cluster does not have. */
const OF_A_POOL = ['umbrella', 'wayne'];

/** Tenants and sessions that the operator is still working on, with what it says of them. */
async function unsettled(namespace: TestNamespace): Promise<string[]> {
  const tenants = await namespace.list(CopilotTenant);
  const sessions = await namespace.list(CopilotSession);
  return [...tenants, ...sessions].flatMap(({ kind, metadata: { name, generation }, status }) => {
    const expected = OF_A_POOL.includes(name) ? 'Stalled' : 'Ready';
    const conditions = (status?.conditions ?? []).map(({ type, status: value, reason, message }) => ({
      isTrue: value === 'True',
      type,
      text: `${type}=${value} ${reason}: ${message}`,
    }));
    const isTrue = (type: string) => conditions.some((condition) => condition.type === type && condition.isTrue);
    const isUpToDate = status?.observedGeneration === generation && isTrue(expected) && !isTrue('Reconciling');
    return isUpToDate ? [] : [`${kind} ${name}: ${conditions.map(({ text }) => text).join(' ') || 'not observed'}`];
  });
}
