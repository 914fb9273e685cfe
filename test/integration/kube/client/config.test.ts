import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Namespace, Secret, ServiceAccount } from '../../../../src/kube/types/builtins.ts';
import { Client } from '../../../../src/kube/client/client.ts';
import { systemClock } from '../../../../src/kube/clock/clock.ts';
import { loadConfig } from '../../../../src/kube/client/config.ts';
import { isUnauthorized } from '../../../../src/kube/types/errors.ts';
import { Transport } from '../../../../src/kube/client/transport.ts';
import type { NamespacedName } from '../../../../src/kube/types/types.ts';
import { startApiServer, type ApiServer } from '../../../support/apiserver.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FaultProxy } from '../../../support/fault-proxy.ts';
import { connect } from '../../../support/kube.ts';
import { waitFor } from '../../../support/wait.ts';

jest.setTimeout(60_000);

let apiServer: ApiServer;
let dir: string;
const environment = { ...process.env };

beforeAll(async () => {
  apiServer = await startApiServer();
});
afterAll(() => apiServer.stop());
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'config-'));
});
afterEach(() => {
  process.env = { ...environment };
  rmSync(dir, { recursive: true });
});

const clock = systemClock;

/** A kubeconfig with something changed. */
function kubeconfig(change: (config: Config) => void): string {
  const config = JSON.parse(readFileSync(apiServer.kubeconfig(), 'utf8')) as Config;
  change(config);
  const path = join(dir, 'kubeconfig');
  writeFileSync(path, JSON.stringify(config));
  return path;
}

interface Config {
  clusters: { name: string; cluster: Record<string, unknown> }[];
  contexts: { name: string; context: Record<string, unknown> }[];
  users: { name: string; user: Record<string, unknown> }[];
  'current-context': string;
}

describe('a kubeconfig', () => {
  it('is found by KUBECONFIG', () => {
    process.env['KUBECONFIG'] = apiServer.kubeconfig({ namespace: 'mine' });
    const { server, namespace } = loadConfig({ clock });
    expect([server.href, namespace]).toEqual([`${apiServer.url}/`, 'mine']);
  });

  it('causes an error that names the missing context and the existing ones', () => {
    const path = apiServer.kubeconfig();
    expect(() => loadConfig({ clock, kubeconfig: path, context: 'prod' })).toThrow(
      'kubeconfig: context "prod" does not exist; existing contexts: "test"',
    );
  });

  it.each<[string, (config: Config) => void, string]>([
    [
      'names a cluster that is not there',
      ({ contexts }) => Object.assign(contexts[0]?.context ?? {}, { cluster: 'gone' }),
      'context "test" refers to cluster "gone", which does not exist',
    ],
    [
      'has no URL as server',
      ({ clusters }) => Object.assign(clusters[0]?.cluster ?? {}, { server: 'somewhere' }),
      'server "somewhere" is not a URL',
    ],
    [
      'goes through a proxy of an unknown kind',
      ({ clusters }) => Object.assign(clusters[0]?.cluster ?? {}, { 'proxy-url': 'ftp://localhost:1' }),
      'proxy-url is not the URL of an http, https or socks5 proxy',
    ],
  ])('that %s is refused', (_, change, message) => {
    expect(() => loadConfig({ clock, kubeconfig: kubeconfig(change) })).toThrow(message);
  });

  it('whose server has a path: requests have it as prefix', async () => {
    const proxy = await FaultProxy.start(apiServer);
    await using c = connect(apiServer.kubeconfig({ server: `${proxy.url}/clusters/one/` }));
    await expect(c.client.list(Namespace)).rejects.toMatchObject({ code: 404 });
    expect(proxy.journal.map(({ path }) => path)).toEqual(['/clusters/one/api/v1/namespaces']);
    await c.transport.close();
    await proxy.stop();
  });

  it('whose certificate authority was replaced is read again', async () => {
    const caFile = join(dir, 'ca.crt');
    copyFileSync(apiServer.adminCertificate.certFile, caFile); // a certificate, but not the one that signed the server's
    const path = kubeconfig(({ clusters }) =>
      Object.assign(clusters[0]?.cluster ?? {}, { 'certificate-authority': caFile }),
    );
    await using c = connect(path);
    const error: unknown = await c.client.list(Namespace).catch((e: unknown) => e);
    expect(error).toMatchObject({ failure: 'network', notSent: true });
    expect(String(error)).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER/);
    copyFileSync(apiServer.caFile, caFile);
    expect((await c.client.list(Namespace)).items).not.toHaveLength(0);
  });

  it('whose token file is missing gives an error that names the file, and recovers with it', async () => {
    const tokenFile = join(dir, 'token');
    await using c = connect(apiServer.kubeconfig({ identity: { tokenFile } }));
    const error: unknown = await c.client.list(Namespace).catch((e: unknown) => e);
    expect(error).toMatchObject({ failure: 'credentials', notSent: true });
    expect(String(error)).toContain(tokenFile);
    writeFileSync(tokenFile, apiServer.adminToken);
    expect((await c.client.list(Namespace)).items).not.toHaveLength(0);
  });
});

describe('credentials', () => {
  it('may be a client certificate', async () => {
    await using c = connect(apiServer.kubeconfig({ identity: apiServer.adminCertificate }));
    expect((await c.client.list(Namespace)).items).not.toHaveLength(0);
  });

  it('may come from an exec plugin', async () => {
    const credential = JSON.stringify({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: apiServer.adminToken },
    });
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'echo', args: [credential] };
    await using c = connect(apiServer.kubeconfig({ identity: { exec } }));
    expect((await c.client.list(Namespace)).items).not.toHaveLength(0);
  });

  it('are read again after an exec plugin has hung', async () => {
    const clock = new FakeClock();
    const hung = join(dir, 'plugin-hung');
    const credential = JSON.stringify({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'fresh' },
    });
    const script = `if [ -e ${hung} ]; then echo '${credential}'; else touch ${hung}; exec sleep 5; fi`;
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args: ['-c', script] };
    const credentials = loadConfig({ clock, kubeconfig: apiServer.kubeconfig({ identity: { exec } }) });
    const first = Promise.resolve(credentials.get()).catch((error: unknown) => error);
    await waitFor('the plugin hangs', () => existsSync(hung), { withinMs: 10_000 });
    await clock.advance(20_000);
    expect(String(await first)).toContain('is an exec plugin hanging?');
    expect((await credentials.get()).headers['authorization']).toBe('Bearer fresh');
  });

  it('that stay wrong lead to one more attempt, and then a 401', async () => {
    await using c = await rotating('wrong');
    await c.revoke();
    await waitFor(
      'the token is refused',
      () =>
        c.whoAmI().then(
          () => false,
          (error: unknown) => isUnauthorized(error),
        ),
      {
        withinMs: 30_000,
        everyMs: 500,
      },
    );
    const before = c.proxy.journal.length;
    await expect(c.whoAmI()).rejects.toMatchObject({ code: 401, method: 'POST' });
    expect(c.proxy.journal).toHaveLength(before + 2);
  });

  it('are read again when the token was rotated and the old one revoked: no call fails, one is sent twice', async () => {
    await using c = await rotating('rotated');
    expect(await c.whoAmI()).toBe('system:serviceaccount:default:rotated');
    await c.rotate();
    await c.revoke();
    await waitFor(
      'the old token was refused once',
      async () => {
        expect(await c.whoAmI()).toBe('system:serviceaccount:default:rotated');
        return c.proxy.journal.some((seen) => seen.status === 401);
      },
      { withinMs: 30_000, everyMs: 500 },
    );
    expect(await Promise.all([c.whoAmI(), c.whoAmI()])).toHaveLength(2);
    expect(c.proxy.journal.filter((seen) => seen.status === 401)).toHaveLength(1);
  });
});

describe('in a pod', () => {
  it('the service account is found, with its namespace', async () => {
    const mount = join(dir, 'var/run/secrets/kubernetes.io/serviceaccount');
    mkdirSync(mount, { recursive: true });
    writeFileSync(join(mount, 'token'), `${apiServer.adminToken}\n`);
    writeFileSync(join(mount, 'namespace'), 'copilot-system\n');
    copyFileSync(apiServer.caFile, join(mount, 'ca.crt'));
    const { hostname, port } = new URL(apiServer.url);
    delete process.env['KUBECONFIG'];
    Object.assign(process.env, { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port });
    const credentials = loadConfig({ clock, serviceAccountRoot: dir });
    expect(credentials.namespace).toBe('copilot-system');
    const transport = new Transport({ credentials, clock, random: Math.random });
    expect((await new Client({ transport }).list(Namespace)).items).not.toHaveLength(0);
    await transport.close();
  });
});

describe('without any configuration', () => {
  it('the error names the ways to configure it', () => {
    delete process.env['KUBECONFIG'];
    process.env['HOME'] = dir;
    expect(() => loadConfig({ clock })).toThrow('no Kubernetes configuration: set KUBECONFIG');
  });
});

/** A client with the token of a service account, which can be replaced in its file and revoked in the server. */
async function rotating(name: string) {
  const namespace = 'default';
  const admin = connect(apiServer.kubeconfig());
  await admin.client.create(ServiceAccount, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { namespace, name },
  });
  // A token that is bound to a Secret is invalid without it. The server caches a valid token for 10 s, though.
  const tokenBoundTo = async (secretName: string): Promise<{ token: string; secret: NamespacedName; uid: string }> => {
    const secret = { namespace, name: secretName };
    const made = await admin.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata: secret });
    const uid = made.metadata.uid ?? '';
    const answer = await admin.transport.request<{ status: { token: string } }>({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name: secretName, uid } },
      },
    });
    return { token: answer.status.token, secret, uid };
  };
  const first = await tokenBoundTo(`${name}-first`);
  const second = await tokenBoundTo(`${name}-second`);
  const tokenFile = join(dir, 'token');
  writeFileSync(tokenFile, `${first.token}\n`);
  const proxy = await FaultProxy.start(apiServer);
  const c = connect(apiServer.kubeconfig({ server: proxy.url, identity: { tokenFile } }));
  const whoAmI = async (): Promise<string> => {
    const review = await c.transport.request<{ status: { userInfo: { username: string } } }>({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    });
    return review.status.userInfo.username;
  };
  return {
    proxy,
    whoAmI,
    rotate: () => writeFile(tokenFile, second.token),
    revoke: () => admin.client.delete(Secret, first.secret, { uid: first.uid }),
    [Symbol.asyncDispose]: async () => {
      await c.transport.close();
      await admin.transport.close();
      await proxy.stop();
    },
  };
}
