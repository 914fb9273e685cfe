// Servers that end by themselves, again and again: told with their last words, and mended without a trace.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Bystander } from '../../support/bystander.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { runScriptInstead } from '../../support/meddling-policy.ts';
import { expectMended, expectTold, messageColumn } from '../../support/told.ts';

jest.setTimeout(4 * READY_MS);

interface Case {
  what: string;
  tenant: string;
  /** What the container runs. */
  script: string;
  resources?: { limits: { memory: string } };
  told: string[];
}

const cases: Case[] = [
  {
    what: 'exits with a code of its own',
    tenant: 'crashing',
    script: "echo 'starting'; echo 'the licence has expired'; exit 7",
    told: [
      'Server crashing-0: the container exited with code 7',
      'exited with code 7: the licence has expired',
      'kubectl logs deploy/crashing-0',
    ],
  },
  {
    what: 'exits without a word',
    tenant: 'silent',
    script: 'exit 3',
    told: ['Server silent-0: the container exited with code 3 with no output'],
  },
  {
    what: 'takes more memory than its limit',
    tenant: 'greedy',
    script: 'tail /dev/zero',
    resources: { limits: { memory: '96Mi' } },
    told: [
      'Server greedy-0: the container was killed because it exceeded its memory limit',
      'Raise spec.server.resources.limits.memory',
    ],
  },
];

describe('a server that does not stay up', () => {
  let namespace: TestNamespace;
  let bystander: Bystander;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    bystander = await Bystander.start(namespace);
  });
  afterAll(() => namespace.close());

  it.concurrent.each(cases)(
    'because it $what is told, and works once that is mended',
    async ({ tenant, script, resources, told }) => {
      const undo = await runScriptInstead(namespace, tenant, script);
      try {
        await namespace.createTenant(tenant, { server: { binary: 'runtime', ...(resources && { resources }) } });
        const stalled = await expectTold(namespace, tenant, 'ContainerCrashed', told);
        expect(stalled.status?.servers?.[0]).toMatchObject({ state: 'Failed', restarts: 0 });
        for (const words of told) expect(await messageColumn(namespace, tenant)).toContain(words);
      } finally {
        await undo();
      }
      // The pod was made with the script, and is made anew: with a limit of memory that is enough, or as somebody asks for it.
      if (resources) {
        await namespace.patchTenant(tenant, { spec: { server: { resources: { limits: { memory: '1Gi' } } } } });
      } else await namespace.kubectl.ok(['rollout', 'restart', `deploy/${tenant}-0`, '-n', namespace.name]);
      const mended = await expectMended(namespace, tenant);
      expect(mended.status?.servers?.[0]).not.toHaveProperty('message');
      await bystander.expectUntouched();
    },
  );
});
