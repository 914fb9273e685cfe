// Manifests kept in git show no difference once the operator is up to date: neither the chart nor a sample.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { findCondition } from '../../../src/kube/write/conditions.ts';
import { CopilotSession } from '../../../src/resources/session.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { CHART, helm, REQUIRED_VALUES } from '../../support/chart.ts';
import { conditionOf, READY_MS, TestNamespace } from '../../support/cluster.ts';
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
    await waitFor('everything is up to date', async () => (await unsettled(namespace)).length === 0, {
      withinMs: 3 * READY_MS,
      everyMs: 500,
    });
    await waitFor(
      'the sessions are observed',
      async () => {
        const missing = await unready(namespace);
        if (missing.length > 0) throw new Error(missing.join('; '));
        return true;
      },
      { withinMs: 2 * READY_MS, everyMs: 500 },
    );
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
  const values = { ...REQUIRED_VALUES, watchNamespaces: [namespace], crds: { install: false } };
  return helm(['template', namespace, CHART, '--namespace', namespace], values);
}

/** Sessions that are not Ready, with what the operator says of them. */
async function unready(namespace: TestNamespace): Promise<string[]> {
  const sessions = await namespace.list(CopilotSession);
  return sessions.flatMap(({ metadata: { name }, status }) => {
    const ready = findCondition(status?.conditions, 'Ready');
    return ready?.status === 'True' ? [] : `${name}: ${ready?.reason ?? 'not observed'} ${ready?.message ?? ''}`;
  });
}

/** Tenants that the operator is still working on; one that no node takes waits for somebody else. */
async function unsettled(namespace: TestNamespace): Promise<string[]> {
  const tenants = await namespace.list(CopilotTenant);
  return tenants.flatMap((tenant) => {
    const { generation, name } = tenant.metadata;
    if (tenant.status?.observedGeneration !== generation) return name;
    const settled =
      conditionOf(tenant, 'Reconciling').status === 'False' &&
      (conditionOf(tenant, 'Ready').status === 'True' || conditionOf(tenant, 'Stalled').status === 'True');
    return settled ? [] : name;
  });
}
