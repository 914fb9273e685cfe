// Foreign objects with the names of a tenant's children: neither adopted nor changed.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Deployment, PersistentVolumeClaim, Secret, Service } from '../../../src/kube/types/builtins.ts';
import { isControlledBy } from '../../../src/kube/types/owner.ts';
import { apiVersionOf, type ResourceType } from '../../../src/kube/types/resource.ts';
import type { KubeObject } from '../../../src/kube/types/types.ts';
import { Bystander } from '../../support/bystander.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { expectRecovered, expectStalled } from '../../support/stalled.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(4 * READY_MS);

const selector = { app: 'somebody-elses' };
const cases: { kind: string; type: ResourceType; tenant: string; suffix: string; content: object }[] = [
  {
    kind: 'Deployment',
    type: Deployment,
    tenant: 'one',
    suffix: '0',
    content: {
      spec: {
        replicas: 0,
        selector: { matchLabels: selector },
        template: { metadata: { labels: selector }, spec: { containers: [{ name: 'app', image: 'localhost/app' }] } },
      },
    },
  },
  {
    kind: 'Service',
    type: Service,
    tenant: 'two',
    suffix: '0',
    content: { spec: { selector, ports: [{ port: 80 }] } },
  },
  {
    kind: 'PersistentVolumeClaim',
    type: PersistentVolumeClaim,
    tenant: 'three',
    suffix: '0',
    content: { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
  },
  { kind: 'Secret', type: Secret, tenant: 'four', suffix: 'token', content: { stringData: { token: 'theirs' } } },
  { kind: 'Secret', type: Secret, tenant: 'five', suffix: 'binding', content: { stringData: { uri: 'theirs' } } },
];

/** Its own controller has written its status: any later write is by another writer. */
const isCounted = (object: KubeObject): boolean =>
  object.kind !== Deployment.kind ||
  ((object as Deployment).status?.conditions?.some(({ reason }) => reason === 'NewReplicaSetAvailable') ?? false);

describe('a foreign object with the name of a child', () => {
  let namespace: TestNamespace;
  let bystander: Bystander;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    bystander = await Bystander.start(namespace);
  });
  afterAll(() => namespace.close());

  it.concurrent.each(cases)(
    'a $kind <tenant>-$suffix is reported and not changed, and once it is deleted the tenant has its own',
    async ({ kind, type, tenant, suffix, content }) => {
      const name = `${tenant}-${suffix}`;
      const manifest = {
        apiVersion: apiVersionOf(type),
        kind,
        metadata: { name, namespace: namespace.name },
        ...content,
      };
      await namespace.kubectl.ok(['create', '-f', '-'], manifest);
      const before = await waitFor(`${name} is as it stays`, async () => {
        const found = await namespace.client.get(type, namespace.ref(name));
        return isCounted(found) ? found : undefined;
      });
      const { uid = '' } = before.metadata;

      await namespace.createTenant(tenant, { server: { binary: 'runtime' } });
      await expectStalled(namespace, tenant, 'ForeignObject', [kind, name, 'delete or rename']);
      expect(await namespace.client.get(type, namespace.ref(name))).toEqual(before);
      expect((await namespace.pods(tenant)).length).toBe(suffix === 'binding' ? 1 : 0);

      await namespace.client.delete(type, namespace.ref(name), { uid });
      const recovered = await expectRecovered(namespace, tenant);
      const own = await namespace.client.get(type, namespace.ref(name));
      expect(own.metadata.uid).not.toBe(uid);
      if (type.kind !== PersistentVolumeClaim.kind) expect(isControlledBy(own, recovered)).toBe(true);
      await bystander.expectUntouched();
    },
  );
});
