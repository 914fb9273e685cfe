// The gateway with all that its chart can switch on for clients outside of the cluster: TLS, load balancers, OIDC, an autoscaler, Prometheus. And tenants that no other
// test has behind an installed gateway: several servers for users who are kept apart, and direct access.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { approveAll } from '@github/copilot-sdk';
import { connect as dial, type Socket } from 'node:net';
import { connect as dialTls } from 'node:tls';
import { Deployment, EndpointSlice } from '../../../src/kube/types/builtins.ts';
import { chat, withClient, type Binding } from '../../support/chat.ts';
import { READY_MS, SESSIONS, TestNamespace } from '../../support/cluster.ts';
import { ExposedGateway } from '../../support/exposed-gateway.ts';
import { askingTestModel, ModelInCluster, say } from '../../support/model-in-cluster.ts';
import { RawClient } from '../../support/raw-client.ts';
import { tlsTunnel } from '../../support/tls-tunnel.ts';
import { waitFor } from '../../support/wait.ts';

jest.setTimeout(3 * READY_MS);

const PATIENTLY = { withinMs: READY_MS, everyMs: 500 };
/** A Deployment without a number begins with one. */
const AUTOSCALING = { minReplicas: 2, maxReplicas: 3 };

let namespace: TestNamespace;
let exposed: ExposedGateway;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  const model = askingTestModel(namespace.name);
  [exposed] = await Promise.all([ExposedGateway.install(namespace, AUTOSCALING), ModelInCluster.start(namespace)]);
  await exposed.allow('chatters', 'shared');
  await namespace.createTenant('acme', { server: { binary: 'runtime' }, ...model });
  await namespace.createTenant('straight', { server: { binary: 'runtime' }, access: 'Direct', ...model });
  await namespace.createTenant('shared', { server: { binary: 'cli' }, isolation: 'Shared', replicas: 2, ...model });
  await Promise.all(['acme', 'straight', 'shared'].map((tenant) => namespace.waitForReady(tenant)));
}, 4 * READY_MS);
afterAll(() => namespace.close());

/** What is answered to the right token on a connection that the gateway closes. */
async function answersUntilClosed(socket: Socket): Promise<unknown[]> {
  const client = new RawClient(socket);
  client.connect((await exposed.bindingOf('acme', { port: 0 })).token);
  await waitFor('the end of the connection', () => client.isClosed);
  return client.received;
}

describe('the TLS listener', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'takes clients that have a certificate of its authority, by %s',
    async (version) => {
      await using forward = await exposed.toReplica(4322);
      await using tunnel = await tlsTunnel({
        ...exposed.tlsOptions(forward.port),
        minVersion: version,
        maxVersion: version,
      });
      const { answer } = await chat(await exposed.bindingOf('acme', tunnel), { prompt: `By ${version}` });
      expect(answer).toContain(`By ${version}`);
    },
  );

  it.each<[string, (port: number) => Socket]>([
    ['without a certificate', (port) => dialTls(exposed.tlsOptions(port, 'None'))],
    ['with one of another authority', (port) => dialTls(exposed.tlsOptions(port, exposed.foreignCertificate()))],
    ['by TLS 1.1', (port) => dialTls({ ...exposed.tlsOptions(port), ...OLD })],
    ['in plain text', (port) => dial(port, '127.0.0.1')],
  ])('takes no client %s', async (_, connect) => {
    await using forward = await exposed.toReplica(4322);
    expect(await answersUntilClosed(connect(forward.port))).toEqual([]);
  });

  it('shows the certificate of its Secret after that was exchanged, and keeps the clients that are connected', async () => {
    const [pod = ''] = await exposed.pods();
    await using forward = await exposed.to(`pod/${pod}`, 4322);
    await using tunnel = await tlsTunnel(exposed.tlsOptions(forward.port));
    await withClient(await exposed.bindingOf('acme', tunnel), async (client) => {
      const session = await client.createSession({ onPermissionRequest: approveAll });
      await session.sendAndWait({ prompt: 'Before' });
      expect(await exposed.certificateNames(pod)).toBe('DNS:first.test');
      await exposed.exchangeCertificate('second.test');
      const isNew = async () => (await exposed.certificateNames(pod)) === 'DNS:second.test';
      // The kubelet and the gateway look for it now and then.
      await waitFor('the new certificate is shown', isNew, { withinMs: 2 * READY_MS, everyMs: 1000 });
      expect((await session.sendAndWait({ prompt: 'After' }))?.data.content).toContain('After');
    });
  });
});

/** Of a client that would speak an old version, if it were let. */
const OLD = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;

describe('a load balancer', () => {
  it.each([
    [1, '198.51.100.1:40001'],
    [2, '198.51.100.2:40002'],
  ])('that is listed says by PROXY protocol version %d whose connection it is', async (version, address) => {
    await using forward = await exposed.to('pod/balancer', 4000 + version);
    const { answer } = await chat(await exposed.bindingOf('acme', forward), { prompt: `By version ${version}` });
    expect(answer).toContain(`By version ${version}`);
    const isAudited = async () =>
      (await logs()).some(({ msg, address: from }) => msg === 'client admitted' && from === address);
    await waitFor('it is in the audit log', isAudited, PATIENTLY);
  });

  it.each([
    ['listed and does not say it', 'balancer', 4000, 'ProxyHeader'],
    ['not listed and says it by version 1', 'stranger', 4001, 'FramingFault'],
    ['not listed and says it by version 2', 'stranger', 4002, 'FramingFault'],
  ])('has its connections closed when it is %s', async (_, pod, port, reason) => {
    const before = await counted(reason);
    await using forward = await exposed.to(`pod/${pod}`, port);
    const answers = await answersUntilClosed(dial(forward.port, '127.0.0.1'));
    expect(answers).not.toContainEqual(expect.objectContaining({ result: expect.anything() }));
    await waitFor('it is counted', async () => (await counted(reason)) > before, PATIENTLY);
  });

  it('passes clients on when it is not listed and does not say it', async () => {
    await using forward = await exposed.to('pod/stranger', 4000);
    const { answer } = await chat(await exposed.bindingOf('acme', forward), { prompt: 'By a stranger' });
    expect(answer).toContain('By a stranger');
  });

  /** Lines of all replicas. */
  async function logs(): Promise<Record<string, unknown>[]> {
    const pods = await exposed.pods();
    const texts = await Promise.all(pods.map((pod) => namespace.kubectl.ok(['logs', pod, '-n', namespace.name])));
    const lines = texts.flatMap((text) => text.split('\n')).filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Connections that all replicas have refused or closed for this reason. */
  async function counted(reason: string): Promise<number> {
    const texts = await Promise.all((await exposed.pods()).map((pod) => exposed.release.get(pod, 8080, '/metrics')));
    const lines = texts.flatMap((text) => text.split('\n')).filter((line) => line.includes(`reason="${reason}"`));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }
});

describe('users with tokens of an OIDC issuer, in a Shared tenant with two servers', () => {
  const groups = ['chatters'];

  it('have sessions on both, find them again, and see none of each other', async () => {
    await using forward = await exposed.toReplica();
    const alice = await exposed.bindingOfUser('shared', { sub: 'alice', groups }, forward);
    const bob = await exposed.bindingOfUser('shared', { sub: 'bob', groups }, forward);
    const hers: string[] = [];
    await withClient(alice, async (client) => {
      const isOnBoth = async (): Promise<boolean> => {
        const session = await client.createSession({ onPermissionRequest: approveAll });
        hers.push(session.sessionId);
        const answer = await session.sendAndWait({ prompt: 'What is hers?' });
        expect(answer?.data.content).toContain('What is hers?');
        const servers = await Promise.all(
          ['shared-0', 'shared-1'].map((server) => namespace.exec(server, 'ls', SESSIONS)),
        );
        return servers.every((listed) => listed.split('\n').some((id) => hers.includes(id)));
      };
      await waitFor('she has a session on each server', isOnBoth, PATIENTLY);
    });
    const his = await chat(bob, { prompt: 'What is his?' });
    const listedFor = (binding: Binding) =>
      withClient(binding, async (client) => (await client.listSessions()).map(({ sessionId }) => sessionId));
    expect((await listedFor(alice)).toSorted()).toEqual(hers.toSorted());
    expect(await listedFor(bob)).toEqual([his.sessionId]);
    for (const resume of hers) {
      await expect(chat(bob, { prompt: 'Let me see', resume })).rejects.toThrow(/Session not found/);
      expect((await chat(alice, { prompt: 'Once more', resume })).answer).toContain('Once more');
    }
  });

  it.each([
    ['whose group has no right', { sub: 'carol', groups: ['others'] }],
    ['whose token is for somebody else', { sub: 'alice', groups, aud: 'another' }],
    ['whose token has expired', { sub: 'alice', groups, exp: 1_700_000_000 }],
  ])('are not let in %s', async (_, claims) => {
    await using forward = await exposed.toReplica();
    const binding = await exposed.bindingOfUser('shared', claims, forward);
    await expect(chat(binding, { prompt: 'Let me in' })).rejects.toThrow(/AUTHENTICATION_FAILED/);
  });
});

describe('the replicas', () => {
  const found = async <T>(...what: string[]): Promise<T> =>
    JSON.parse(await namespace.kubectl.ok(['get', ...what, '-n', namespace.name, '-o', 'json'])) as T;

  it('are as many as the autoscaler says, also after an upgrade of the release', async () => {
    const { release, values } = exposed;
    const ref = namespace.ref(release.gatewayName);
    const replicas = async () => (await namespace.client.get(Deployment, ref)).spec?.replicas;
    const isScaled = async () => (await replicas()) === AUTOSCALING.minReplicas;
    await waitFor('there are as many as the autoscaler has at least', isScaled, PATIENTLY);
    const autoscaling = { ...values.gateway.autoscaling, maxReplicas: 4 };
    await release.upgrade({ values: { ...values, gateway: { ...values.gateway, autoscaling } } });
    expect(await found('hpa', release.gatewayName)).toMatchObject({ spec: { maxReplicas: 4 } });
    expect(await replicas()).toBe(AUTOSCALING.minReplicas);
  });

  it('are found by Prometheus: each is a target of the one ServiceMonitor, and has metrics there', async () => {
    const { release } = exposed;
    const { metadata, spec } = await found<ServiceMonitor>('servicemonitor', release.gatewayName);
    expect(metadata.labels).toMatchObject({ release: 'prometheus' });
    const labels = Object.entries(spec.selector.matchLabels).map(([key, value]) => `${key}=${value}`);
    const { items } = await found<{ items: { metadata: { name: string } }[] }>('service', '-l', labels.join(','));
    expect(items.map((service) => service.metadata.name)).toEqual([`${release.gatewayName}-metrics`]);
    const slices = await namespace.list(EndpointSlice, `kubernetes.io/service-name=${release.gatewayName}-metrics`);
    const targets = slices.flatMap(({ endpoints = [], ports = [] }) => {
      const port = ports.find(({ name }) => name === spec.endpoints[0]?.port)?.port ?? 0;
      return endpoints.map(({ targetRef }) => ({ pod: targetRef?.name ?? '', port }));
    });
    expect(targets.map(({ pod }) => pod)).toEqual(expect.arrayContaining(await exposed.pods()));
    for (const pod of await exposed.pods()) {
      const { port } = targets.find((target) => target.pod === pod) ?? { port: 0 };
      expect(await release.get(pod, port, '/metrics')).toMatch(/^copilot_gateway_clients\{/m);
    }
  });
});

/** What is read of one. */
interface ServiceMonitor {
  readonly metadata: { readonly labels: Record<string, string> };
  readonly spec: {
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly endpoints: readonly { readonly port: string }[];
  };
}

describe('a tenant with direct access', () => {
  it('is reached at its own server with its own token, and not by the gateway', async () => {
    const { status } = await namespace.tenant('straight');
    expect(status).toMatchObject({ access: 'Direct', endpoint: `straight-0.${namespace.name}.svc:4321` });
    expect((await say(namespace, 'straight', { prompt: 'Straight on' })).answer).toContain('Straight on');
    const binding = await exposed.bindingOf('straight', { port: 0 });
    for (const token of [binding.token, `${namespace.name}/straight:${binding.token}`]) {
      await using forward = await exposed.toReplica();
      const detour = chat({ ...binding, port: forward.port, token }, { prompt: 'A detour' });
      await expect(detour).rejects.toThrow(/AUTHENTICATION_FAILED/);
    }
  });
});
