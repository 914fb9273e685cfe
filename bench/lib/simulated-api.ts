// The simulated API server as a process of its own, and a kubeconfig for it.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from './child.ts';

/** What the simulated API server has counted. */
export interface Counts {
  /** Tenants that have been Ready. */
  ready: number;
  /** Writes of the operator, events included. */
  writes: number;
}

/** Where its tenants are. */
export const SIMULATED_NAMESPACE = 'bench';

export interface SimulatedApi extends AsyncDisposable {
  kubeconfig: string;
  counts(): Promise<Counts>;
  /** Creates so many tenants at once. */
  addTenants(count: number): Promise<void>;
  /** The same, each with what a gateway reads of it, as an operator leaves it. */
  addServedTenants(count: number): Promise<void>;
  /** The same, all of which sleep. */
  addSleepingTenants(count: number): Promise<void>;
}

/** Over TLS, as a real one: encryption is part of what a request costs. */
export async function startSimulatedApi(): Promise<SimulatedApi> {
  const dir = mkdtempSync(join(tmpdir(), 'simulated-api-'));
  const [certificate, key] = [join(dir, 'server.crt'), join(dir, 'server.key')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', '/CN=simulated-api', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...names], { stdio: 'pipe' });
  const child = startChild('simulated-api-process.ts', [certificate, key, SIMULATED_NAMESPACE]);
  const { port } = await child.message<AddressInfo>();
  const kubeconfig = join(dir, 'kubeconfig');
  const name = 'bench';
  const cluster = { server: `https://127.0.0.1:${port}`, 'certificate-authority': certificate };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user: { token: 'bench' } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const order = (message: object): Promise<Counts> => {
    const answer = child.message<Counts>();
    child.process.send(message);
    return answer;
  };
  return {
    kubeconfig,
    counts: () => order({}),
    addTenants: async (tenants) => void (await order({ tenants })),
    addServedTenants: async (tenants) => void (await order({ tenants, served: true })),
    addSleepingTenants: async (tenants) => void (await order({ tenants, asleep: true })),
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
