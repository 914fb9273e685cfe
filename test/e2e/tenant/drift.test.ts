import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  CoreEvent,
  Deployment,
  NetworkPolicy,
  PodDisruptionBudget,
  Secret,
  Service,
  ServiceAccount,
} from '../../../src/kube/types/builtins.ts';
import type { ResourceType } from '../../../src/kube/types/resource.ts';
import { READY_MS, TestNamespace } from '../../support/cluster.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

/** What "within seconds" means here, in ms. */
const SECONDS = { withinMs: 15_000 };
/** Secrets are not watched but polled: within a minute. */
const MINUTE = { withinMs: 60_000, everyMs: 200 };

describe('drift of the children of a tenant', () => {
  let namespace: TestNamespace;

  beforeAll(async () => {
    namespace = await TestNamespace.open();
    await namespace.startOperator();
    await namespace.createTenant('acme', { server: { binary: 'runtime' } });
    await namespace.waitForReady('acme');
  });
  afterAll(() => namespace.close());

  const watched: [string, ResourceType, string][] = [
    ['Service', Service, 'acme-0'],
    ['ServiceAccount', ServiceAccount, 'acme-servers'],
    ['NetworkPolicy', NetworkPolicy, 'acme-servers'],
    ['PodDisruptionBudget', PodDisruptionBudget, 'acme-servers'],
    ['Deployment', Deployment, 'acme-0'],
  ];
  it.each(watched)('a deleted %s is recreated', async (_kind, type, name) => {
    const before = await namespace.client.get(type, namespace.ref(name));
    await namespace.client.delete(type, namespace.ref(name), { uid: before.metadata.uid ?? '' });
    const isNew = async (): Promise<boolean> => {
      const now = await namespace.get(type, name);
      return now !== undefined && now.metadata.uid !== before.metadata.uid;
    };
    await waitFor(`${name} is there again`, isNew, SECONDS);
    await namespace.waitForReady('acme');
  });

  const edits: [string, ResourceType, string, object, (object: never) => unknown][] = [
    [
      'a Service of another port',
      Service,
      'acme-0',
      { spec: { selector: { stolen: 'yes', 'copilot-operator.dev/server': 'other-0' } } },
      (object: Service) => object.spec?.selector?.['copilot-operator.dev/server'],
    ],
    [
      'a NetworkPolicy that lets everybody in',
      NetworkPolicy,
      'acme-servers',
      { spec: { ingress: [{}] } },
      (object: NetworkPolicy) => object.spec?.ingress?.[0]?.from?.length,
    ],
    [
      'a ServiceAccount with a token',
      ServiceAccount,
      'acme-servers',
      { automountServiceAccountToken: true },
      (object: ServiceAccount) => object.automountServiceAccountToken,
    ],
    [
      'a Deployment of no replicas',
      Deployment,
      'acme-0',
      { spec: { replicas: 0 } },
      (object: Deployment) => object.spec?.replicas,
    ],
  ];
  it.each(edits)('%s is reverted', async (_what, type, name, patch, read) => {
    const look = async () => read((await namespace.client.get(type, namespace.ref(name))) as never);
    const before = await look();
    const options = { contentType: 'application/merge-patch+json', fieldManager: 'other-writer' } as const;
    const edited = await namespace.client.patch(type, namespace.ref(name), patch, options);
    // From the response to the edit: it may be reverted before it can be read.
    expect(read(edited as never)).not.toEqual(before);
    await waitFor(`${name} is as before`, async () => JSON.stringify(await look()) === JSON.stringify(before), SECONDS);
    await namespace.waitForReady('acme');
  });

  it('labels, annotations and fields of other writers are not changed', async () => {
    const theirs = {
      metadata: { labels: { team: 'blue' }, annotations: { note: 'mine' } },
      // The image is the operator's: without that change there would be no write that could remove the rest.
      spec: {
        minReadySeconds: 1,
        template: { spec: { containers: [{ name: 'server', image: 'localhost/other:1' }] } },
      },
    };
    const { image } = containerOf(await namespace.deployment('acme-0'));
    const contentType = 'application/strategic-merge-patch+json';
    await namespace.client.patch(Deployment, namespace.ref('acme-0'), theirs, {
      contentType,
      fieldManager: 'other-writer',
    });
    const repaired = await waitFor(
      'the image is ours again',
      async () => {
        const deployment = await namespace.deployment('acme-0');
        return containerOf(deployment).image === image ? deployment : undefined;
      },
      SECONDS,
    );
    expect(repaired.metadata.labels).toMatchObject({ team: 'blue' });
    expect(repaired.metadata.annotations).toMatchObject({ note: 'mine' });
    expect(repaired.spec?.minReadySeconds).toBe(1);
    await namespace.waitForReady('acme');
  });

  it('a Deployment that was set to RollingUpdate is Recreate again, although their parameters exclude each other', async () => {
    const contentType = 'application/merge-patch+json';
    const patch = { spec: { strategy: { type: 'RollingUpdate' } } };
    await namespace.client.patch(Deployment, namespace.ref('acme-0'), patch, {
      contentType,
      fieldManager: 'other-writer',
    });
    await waitFor(
      'the strategy is ours again',
      async () => (await namespace.deployment('acme-0')).spec?.strategy?.type === 'Recreate',
      SECONDS,
    );
    await namespace.waitForReady('acme');
  });

  it('a deleted binding Secret is restored with the same token, and no server restarts', async () => {
    const { token } = await namespace.secret('acme-token');
    const [pod] = await namespace.pods('acme');
    await namespace.kubectl.ok(['delete', 'secret', 'acme-binding', '-n', namespace.name]);
    await waitFor('it is there again', async () => (await namespace.get(Secret, 'acme-binding')) !== undefined, MINUTE);
    expect((await namespace.secret('acme-binding'))['token']).toBe(token);
    await namespace.waitForReady('acme');
    expect((await namespace.pods('acme')).map(({ metadata }) => metadata.uid)).toEqual([pod?.metadata.uid]);
  });

  it('an edited binding Secret is reverted', async () => {
    const before = await namespace.secret('acme-binding');
    const patch = { data: { host: Buffer.from('evil.example.com').toString('base64') } };
    await namespace.client.patch(Secret, namespace.ref('acme-binding'), patch, {
      contentType: 'application/merge-patch+json',
    });
    await waitFor(
      'the host is ours again',
      async () => (await namespace.secret('acme-binding'))['host'] === before['host'],
      MINUTE,
    );
  });

  it('an invalid token is replaced by a new one', async () => {
    const { token } = await namespace.secret('acme-token');
    await editToken('spoilt');
    const made = await tokenOtherThan(token);
    await waitFor('the server has it', async () => (await tokenInPod()) === made, MINUTE);
    await namespace.waitForReady('acme');
  });

  it('another well-formed token is a rotation: server and binding use it', async () => {
    const token = randomBytes(32).toString('base64url');
    await editToken(token);
    await waitFor(
      'the binding has it',
      async () => (await namespace.secret('acme-binding'))['token'] === token,
      MINUTE,
    );
    await waitFor('the server has it', async () => (await tokenInPod()) === token, MINUTE);
    await namespace.waitForReady('acme');
  });

  it.each([['acme-token'], ['acme-token', 'acme-binding']])(
    'deleting %s %s rotates the token: server and binding use the new one, and an event says so',
    async (...deleted) => {
      const { token } = await namespace.secret('acme-token');
      const before = await rotations();
      await namespace.kubectl.ok(['delete', 'secret', ...deleted, '-n', namespace.name]);
      const made = await tokenOtherThan(token);
      await waitFor('the server has it', async () => (await tokenInPod()) === made, MINUTE);
      await namespace.waitForReady('acme');
      expect((await namespace.secret('acme-token'))['token']).toBe(made);
      await waitFor('an event reports it', async () => (await rotations()) > before, SECONDS);
    },
  );

  /** The token that replaces this one, once the binding has it. */
  const tokenOtherThan = (token: string | undefined) =>
    waitFor(
      'the binding has another token',
      async () => {
        const [own, bound] = await Promise.all(
          ['acme-token', 'acme-binding'].map(async (name) => (await namespace.get(Secret, name))?.data?.['token']),
        );
        const found = own === undefined ? undefined : Buffer.from(own, 'base64').toString();
        return own === bound && found !== token ? found : undefined;
      },
      MINUTE,
    );
  const rotations = async (): Promise<number> => {
    const { items } = await namespace.client.list(CoreEvent, {
      namespace: namespace.name,
      fieldSelector: 'reason=TokenRotated,involvedObject.name=acme',
    });
    return items.reduce((sum, { count }) => sum + (count ?? 1), 0);
  };
  const tokenInPod = async () =>
    (await namespace.exec('acme-0', 'sh', '-c', 'echo "$COPILOT_CONNECTION_TOKEN"')).trim();
  const editToken = (token: string) => {
    const patch = { data: { token: Buffer.from(token).toString('base64') } };
    const contentType = 'application/merge-patch+json';
    return namespace.client.patch(Secret, namespace.ref('acme-token'), patch, { contentType });
  };
});

function containerOf(deployment: Deployment) {
  const container = deployment.spec?.template.spec?.containers[0];
  if (container === undefined) throw new Error(`Deployment ${deployment.metadata.name} has no container`);
  return container;
}
