// Servers that exit repeatedly: reported with their last output, and without a trace of it once they are fixed.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Bystander } from '../../support/bystander.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { runScriptInstead } from '../../support/meddling-policy.ts';
import { expectRecovered, expectStalled, messageColumn } from '../../support/stalled.ts';

jest.setTimeout(4 * READY_MS);

interface Case {
  what: string;
  tenant: string;
  /** What the container runs. */
  script: string;
  resources?: { limits: { memory: string } };
  texts: string[];
}

const cases: Case[] = [
  {
    what: 'exits with a code',
    tenant: 'crashing',
    script: "echo 'starting'; echo 'the licence has expired'; exit 7",
    texts: [
      'Server crashing-0: the container exited with code 7',
      'exited with code 7: the licence has expired',
      'kubectl logs deploy/crashing-0',
    ],
  },
  {
    what: 'exits with no output',
    tenant: 'silent',
    script: 'exit 3',
    texts: ['Server silent-0: the container exited with code 3 with no output'],
  },
  {
    what: 'exceeds its memory limit',
    tenant: 'greedy',
    script: 'tail /dev/zero',
    resources: { limits: { memory: '96Mi' } },
    texts: [
      'Server greedy-0: the container was killed because it exceeded its memory limit',
      'Raise spec.server.resources.limits.memory',
    ],
  },
];

describe('a server that keeps crashing', () => {
  let namespace: TestNamespace;
  let bystander: Bystander;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    bystander = await Bystander.start(namespace);
  });
  afterAll(() => namespace.close());

  it.concurrent.each(cases)(
    'because it $what is reported, and Ready once that is fixed',
    async ({ tenant, script, resources, texts }) => {
      const undo = await runScriptInstead(namespace, tenant, script);
      try {
        await namespace.createTenant(tenant, { server: { binary: 'runtime', ...(resources && { resources }) } });
        const stalled = await expectStalled(namespace, tenant, 'ContainerCrashed', texts);
        expect(stalled.status?.servers?.[0]).toMatchObject({ state: 'Failed', restarts: 0 });
        for (const text of texts) expect(await messageColumn(namespace, tenant)).toContain(text);
      } finally {
        await undo();
      }
      // The pod was created with the script and is replaced: by a higher memory limit, or because a user restarts it.
      if (resources) {
        await namespace.patchTenant(tenant, { spec: { server: { resources: { limits: { memory: '1Gi' } } } } });
      } else await namespace.kubectl.ok(['rollout', 'restart', `deploy/${tenant}-0`, '-n', namespace.name]);
      const recovered = await expectRecovered(namespace, tenant);
      expect(recovered.status?.servers?.[0]).not.toHaveProperty('message');
      await bystander.expectUntouched();
    },
  );
});
