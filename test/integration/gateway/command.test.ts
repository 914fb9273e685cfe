// The command `gateway` as a process, with a real API server: who is admitted follows what the operator writes into the tenant.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { GATEWAY_AUDIENCE } from '../../../src/gateway/admission/reviews.ts';
import { bindingToken, credentialHash } from '../../../src/resources/binding.ts';
import { CopilotTenant } from '../../../src/resources/tenant.ts';
import { freePort } from '../../support/copilot-server.ts';
import { GatewayProcess } from '../../support/gateway-process.ts';
import { connect } from '../../support/kube.ts';
import { OidcIssuer } from '../../support/oidc-issuer.ts';
import { PrivateCA } from '../../support/private-ca.ts';
import { RawClient, type RawMessage } from '../../support/raw-client.ts';
import { startTenantApi, tenantManifest, type TenantApi } from '../../support/tenant-api.ts';
import { waitFor } from '../../support/wait.ts';

const credential = `cpg_${'c'.repeat(43)}`;
const next = `cpg_${'d'.repeat(43)}`;
const meta = { apiVersion: 'v1', kind: 'x', metadata: { namespace: 'default', name: 'acme' } };

let api: TenantApi;
let admin: ReturnType<typeof connect>;
let ports: Record<'clients' | 'health' | 'metrics', number>;
let gateway: GatewayProcess;
let folder: string;
let ca: PrivateCA;
let issuer: OidcIssuer;

beforeAll(async () => {
  api = await startTenantApi();
  admin = connect(api.kubeconfig);
  await admin.client.create(CopilotTenant, tenantManifest('acme', {}) as CopilotTenant);
  await setStatus('Gateway', [credential]);
  folder = mkdtempSync(join(tmpdir(), 'gateway-'));
  ca = new PrivateCA();
  issuer = await OidcIssuer.start({ certificate: ca.issue('IP:127.0.0.1') });
  const oidcConfig = join(folder, 'oidc.yaml');
  writeFileSync(oidcConfig, stringify({ jwt: [issuer.config(ca)] }));
  ports = { clients: await freePort(), health: await freePort(), metrics: await freePort() };
  gateway = await GatewayProcess.start(api.kubeconfig, [
    `--listen-port=${ports.clients}`,
    `--health-port=${ports.health}`,
    `--metrics-port=${ports.metrics}`,
    `--oidc-config=${oidcConfig}`,
    '--watch-namespaces=default',
    '--drain-timeout=1s',
  ]);
}, 120_000);
afterAll(async () => {
  await gateway.kill();
  await issuer[Symbol.asyncDispose]();
  ca[Symbol.dispose]();
  rmSync(folder, { recursive: true });
  await admin.transport.close();
  await api.stop();
});

async function setStatus(access: 'Gateway' | 'Direct', credentials: readonly string[]): Promise<void> {
  const listed = credentials.map((each) => ({ sha256: credentialHash(each), since: new Date().toISOString() }));
  const status = { access, binding: { name: 'acme-binding', credentials: listed } };
  await admin.client.patch(
    CopilotTenant,
    { namespace: 'default', name: 'acme' },
    { status },
    {
      contentType: 'application/merge-patch+json',
      subresource: 'status',
    },
  );
}

/** What `connect` with the token leads to. */
async function present(token: string): Promise<{ readonly client: RawClient; readonly isAdmitted: boolean }> {
  const client = new RawClient(dial(ports.clients, '127.0.0.1'));
  client.connect(token);
  const { result } = await client.answer(1);
  return { client, isAdmitted: result?.['ok'] === true };
}

async function isAdmitted(token: string): Promise<boolean> {
  const { client, isAdmitted } = await present(token);
  client.stream.destroy();
  return isAdmitted;
}

async function read(port: number, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, text: await response.text() };
}

it('is ready once it has started, and serves its metrics', async () => {
  expect(await read(ports.health, '/readyz')).toEqual({ status: 200, text: 'ok' });
  expect((await read(ports.health, '/readyz?verbose')).text).toContain('[+]clients ok');
  expect((await read(ports.health, '/livez')).status).toBe(200);
  const { text } = await read(ports.metrics, '/metrics');
  expect(text).toContain('copilot_gateway_clients{state="Relaying"} 0');
  expect(text).toContain('copilot_gateway_failed_ready_checks{check="clients"} 0');
});

it('admits by the binding, follows its rotation, and says that a server cannot be reached', async () => {
  const { client, isAdmitted: first } = await present(bindingToken(meta, credential));
  expect(first).toBe(true);
  client.send({ id: 2, method: 'session.list', params: {} });
  // It is waited for a while.
  expect(await client.answer(2, 30_000)).toMatchObject({ error: { code: -32050, data: { retryable: true } } });
  expect(await isAdmitted(bindingToken(meta, next))).toBe(false);
  await setStatus('Gateway', [next, credential]);
  await waitFor('the next credential', () => isAdmitted(bindingToken(meta, next)));
  expect(await isAdmitted(bindingToken(meta, credential))).toBe(true);
  await setStatus('Gateway', [next]);
  await waitFor('the end of the connection with the retired one', () => client.isClosed);
  expect(await isAdmitted(bindingToken(meta, credential))).toBe(false);
  await setStatus('Direct', [next]);
  await waitFor('nobody is admitted', async () => !(await isAdmitted(bindingToken(meta, next))));
  await setStatus('Gateway', [credential]);
  await waitFor('the first credential again', () => isAdmitted(bindingToken(meta, credential)));
}, 60_000);

it('admits by a Kubernetes token for its audience', async () => {
  await api.kubectl.ok(['create', 'serviceaccount', 'bot']);
  const verbs = ['--verb=connect', '--resource=copilottenants.copilot-operator.dev', '--resource-name=acme'];
  await api.kubectl.ok(['create', 'role', 'bot', ...verbs]);
  await api.kubectl.ok(['create', 'rolebinding', 'bot', '--role=bot', '--serviceaccount=default:bot']);
  const tokenFor = async (audience: string) =>
    (await api.kubectl.ok(['create', 'token', 'bot', `--audience=${audience}`])).trim();
  const token = await tokenFor(GATEWAY_AUDIENCE);
  await waitFor('the role', () => isAdmitted(`default/acme:${token}`));
  expect(await isAdmitted(`default/acme-0:${token}`)).toBe(false);
  expect(await isAdmitted(`default/acme:${await tokenFor('https://kubernetes.default.svc')}`)).toBe(false);
  expect(gateway.output).not.toContain(token);
  expect(gateway.output).not.toContain(credential);
}, 60_000);

it('admits by an OIDC token until it expires, and answers all that it refuses alike', async () => {
  const verbs = ['--verb=connect', '--resource=copilottenants.copilot-operator.dev', '--resource-name=acme'];
  await api.kubectl.ok(['create', 'role', 'developers', ...verbs]);
  await api.kubectl.ok(['create', 'rolebinding', 'developers', '--role=developers', '--group=oidc:dev']);
  const token = await issuer.token({ sub: 'alice', groups: ['dev'] });
  await waitFor('the role', () => isAdmitted(`default/acme:${token}`));
  const answerTo = async (presented: string): Promise<RawMessage> => {
    const { client } = await present(presented);
    client.stream.destroy();
    return client.answer(1);
  };
  const foreign = await answerTo(`default/acme:${await issuer.token({ sub: 'bob' })}`);
  expect(foreign.error?.message).toBe('AUTHENTICATION_FAILED');
  expect(await answerTo(`default/acme-0:${token}`)).toEqual(foreign);
  expect(await answerTo(`default/acme:${token}x`)).toEqual(foreign);
  expect(await answerTo(`default/acme:${await issuer.token({ aud: 'elsewhere' })}`)).toEqual(foreign);
  const short = await waitFor('a token is presented before it expires', async () => {
    const exp = Math.floor(Date.now() / 1000) + 5;
    const presented = await present(`default/acme:${await issuer.token({ sub: 'alice', groups: ['dev'], exp })}`);
    return presented.isAdmitted ? presented.client : undefined;
  });
  await waitFor('the end of the connection', () => short.isClosed, { withinMs: 30_000 });
  // The line is written once the connection is gone on the side of the gateway, too.
  const expired = '"credential":"OIDC","reason":"CredentialExpired"';
  await waitFor('the audit line', () => gateway.output.includes(expired));
  expect(gateway.output).toContain('"user":"oidc:alice"');
  expect(gateway.output).not.toContain(token);
  expect((await read(ports.metrics, '/metrics')).text).toMatch(
    /^copilot_gateway_oidc_key_reads_total\{result="Succeeded"} [1-9]/m,
  );
}, 90_000);

it('lets a client stay for its time when it is to stop, and ends in order', async () => {
  const { client } = await present(bindingToken(meta, credential));
  const ended = gateway.stop();
  await waitFor('it is not ready', async () => (await read(ports.health, '/readyz')).status === 500);
  const { text } = await read(ports.metrics, '/metrics');
  expect(text).toContain('copilot_gateway_failed_ready_checks{check="clients"} 1');
  expect(text).toContain('copilot_gateway_failed_ready_checks{check="caches"} 0');
  client.send({ id: 2, method: 'ping' });
  expect(await client.answer(2)).toMatchObject({ result: { message: 'pong' } });
  expect(await ended).toBe(0);
  expect(client.isClosed).toBe(true);
}, 60_000);
