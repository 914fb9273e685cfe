import { execFileSync, spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** How a kubeconfig says who we are. */
export type Identity =
  | { token: string }
  | { certFile: string; keyFile: string }
  /** Read again now and then, as a pod's token is. */
  | { tokenFile: string }
  | { exec: { apiVersion: string; command: string; args: string[] } };

/** A kube-apiserver with an etcd of its own on loopback: a test may break it without disturbing anybody. */
export interface ApiServer {
  readonly url: string;
  /** Where etcd listens, for a test that restores what another API server had. */
  readonly etcdUrl: string;
  readonly caFile: string;
  /** May do everything; known to the server from a static file. */
  readonly adminToken: string;
  /** A client certificate that may do everything. */
  readonly adminCertificate: { certFile: string; keyFile: string };
  /** Path of a new kubeconfig. Default: the admin's token, straight to the server. */
  kubeconfig(options?: { server?: string; identity?: Identity; namespace?: string }): string;
  /** SIGKILL, and its death waited for. The data stay. */
  kill(): Promise<void>;
  /** On the same port with the same data; resolves when it is ready. */
  start(): Promise<void>;
  /** A copy of etcd's data as they are now, for `restore`. etcd is down for a moment; resolves when the API server is ready again. */
  backUp(): Promise<Backup>;
  /**
   * Stops etcd, puts the copy in the place of its data, and starts it: resource versions go back. The API server goes on running, unless it
   * was killed before. Resolves when it is ready again, or at once if it does not run.
   */
  restore(backup: Backup): Promise<void>;
  /** Ends both processes and deletes their files. */
  stop(): Promise<void>;
}

/** A copy of the data of etcd. */
export interface Backup {
  readonly dir: string;
}

const READY_WITHIN_MS = 60_000;

/** `flags` are further ones of kube-apiserver, `env` further variables of both processes. */
export async function startApiServer({
  flags = [],
  env = {},
}: {
  flags?: readonly string[];
  env?: Record<string, string>;
} = {}): Promise<ApiServer> {
  const bin = binaries();
  const dir = mkdtempSync(join(tmpdir(), 'apiserver-'));
  const adminToken = 'admin-token-of-this-test';
  writePki(dir, adminToken);
  const [etcdPort, etcdPeerPort, port] = await freePorts(3);
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const url = `https://127.0.0.1:${port}`;
  const dataDir = join(dir, 'etcd');
  const startEtcd = (): ChildProcess =>
    run(dir, env, join(bin, 'etcd'), [
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=http://127.0.0.1:${etcdPeerPort}`,
      '--unsafe-no-fsync=true',
      '--log-level=warn',
    ]);
  let etcd = startEtcd();
  let server: ChildProcess | undefined;
  let kubeconfigs = 0;
  let backups = 0;

  const start = async (): Promise<void> => {
    server = run(dir, env, join(bin, 'kube-apiserver'), [
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${port}`,
      `--tls-cert-file=${join(dir, 'server.crt')}`,
      `--tls-private-key-file=${join(dir, 'server.key')}`,
      `--client-ca-file=${join(dir, 'ca.crt')}`,
      `--token-auth-file=${join(dir, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${join(dir, 'sa.key')}`,
      `--service-account-signing-key-file=${join(dir, 'sa.key')}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      '--endpoint-reconciler-type=none',
      // Nobody here makes the default service account that this plugin waits for.
      '--disable-admission-plugins=ServiceAccount',
      ...flags,
    ]);
    await ready(dir, url, server);
  };
  const kill = async (): Promise<void> => {
    if (server) await end(server, 'SIGKILL');
    server = undefined;
  };
  /** Stops etcd, does `work` on its data, and starts it again. */
  const withoutEtcd = async (work: () => void): Promise<void> => {
    await end(etcd, 'SIGTERM');
    work();
    etcd = startEtcd();
    if (server) await ready(dir, url, server);
  };
  const backUp = async (): Promise<Backup> => {
    const backup = { dir: join(dir, `backup-${backups++}`) };
    await withoutEtcd(() => cpSync(dataDir, backup.dir, { recursive: true }));
    return backup;
  };
  const restore = (backup: Backup): Promise<void> =>
    withoutEtcd(() => {
      rmSync(dataDir, { recursive: true });
      cpSync(backup.dir, dataDir, { recursive: true });
    });
  const stop = async (): Promise<void> => {
    await kill();
    await end(etcd, 'SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  const caFile = join(dir, 'ca.crt');
  return {
    url,
    etcdUrl,
    caFile,
    adminToken,
    adminCertificate: { certFile: join(dir, 'admin.crt'), keyFile: join(dir, 'admin.key') },
    kubeconfig: ({ server = url, identity = { token: adminToken }, namespace } = {}) => {
      const path = join(dir, `kubeconfig-${kubeconfigs++}`);
      writeFileSync(path, kubeconfigOf(server, caFile, identity, namespace));
      return path;
    },
    kill,
    start,
    backUp,
    restore,
    stop,
  };
}

/** Where etcd and kube-apiserver are: the local cluster's programs, unless COPILOT_CLUSTER_BIN names another directory. */
function binaries(): string {
  const cluster = join(import.meta.dirname, '..', '..', '.cluster', 'bin');
  const dir =
    process.env['COPILOT_CLUSTER_BIN'] ?? (existsSync(cluster) ? join(realpathSync(cluster), '..', 'programs') : '');
  if (dir === '') throw new Error('no kube-apiserver to test against: run `make cluster`, or set COPILOT_CLUSTER_BIN');
  for (const name of ['etcd', 'kube-apiserver']) {
    if (!existsSync(join(dir, name))) throw new Error(`${join(dir, name)} is missing: run \`make cluster\``);
  }
  return dir;
}

/** A certificate authority, a certificate for the server and one for an administrator, and a key for service accounts. */
function writePki(dir: string, adminToken: string): void {
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '2'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=test-ca', '-days', '2');
  const san = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  openssl(
    'req',
    '-x509',
    ...signed,
    ...key,
    '-keyout',
    'server.key',
    '-out',
    'server.crt',
    '-subj',
    '/CN=apiserver',
    ...san,
  );
  openssl(
    'req',
    '-x509',
    ...signed,
    ...key,
    '-keyout',
    'admin.key',
    '-out',
    'admin.crt',
    '-subj',
    '/O=system:masters/CN=admin',
  );
  openssl('genrsa', '-out', 'sa.key', '2048');
  writeFileSync(join(dir, 'tokens.csv'), `${adminToken},admin,admin,"system:masters"\n`);
}

function kubeconfigOf(server: string, caFile: string, identity: Identity, namespace: string | undefined): string {
  const name = 'test';
  let user: object;
  if ('token' in identity) user = { token: identity.token };
  else if ('certFile' in identity) user = { 'client-certificate': identity.certFile, 'client-key': identity.keyFile };
  else if ('tokenFile' in identity) user = { 'auth-provider': { name: 'tokenFile', config: identity } };
  else user = { exec: { ...identity.exec, interactiveMode: 'Never' } };
  const cluster = server.startsWith('https:') ? { server, 'certificate-authority': caFile } : { server };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name, ...(namespace && { namespace }) } }],
    'current-context': name,
  });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

function run(dir: string, more: Record<string, string>, program: string, args: string[]): ChildProcess {
  const log = openSync(logOf(dir, program), 'a');
  // Dies with this process, however that ends: a test run that is broken off must not leave an etcd behind.
  const env = { ...process.env, ...more };
  const stdio: StdioOptions = ['ignore', log, log];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { cwd: dir, env, stdio });
  closeSync(log);
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}

async function ready(dir: string, url: string, server: ChildProcess): Promise<void> {
  const ca = readFileSync(join(dir, 'ca.crt'));
  const endsAt = Date.now() + READY_WITHIN_MS;
  while (!(await isReady(url, ca))) {
    const gone = server.exitCode !== null;
    if (gone || Date.now() > endsAt) {
      const tail = readFileSync(logOf(dir, 'kube-apiserver'), 'utf8').split('\n').slice(-20).join('\n');
      throw new Error(`kube-apiserver ${gone ? 'exited' : `is not ready after ${READY_WITHIN_MS} ms`}:\n${tail}`);
    }
    await sleep(100);
  }
}

function isReady(url: string, ca: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    request(`${url}/readyz`, { ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    })
      .on('error', () => resolve(false))
      .end();
  });
}

function logOf(dir: string, program: string): string {
  return join(dir, `${program.split('/').at(-1)}.log`);
}
