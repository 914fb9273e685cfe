import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EndpointSlice } from '../../../src/kube/types/builtins.ts';
import type { TenantCount } from '../../../src/resources/gateway-internal.ts';
import { GatewayClients, replicasOf } from '../../../src/tenant/gateway-clients.ts';

const [ACME, GLOBEX] = ['acme', 'globex'].map((name) => ({ namespace: 'team', name }));
const count = (name: string, clients: number): TenantCount => ({ namespace: 'team', name, clients });

/** What each replica answers; an Error: it does not. */
let answers: Record<string, TenantCount[] | Error>;
let ready: Record<string, boolean | undefined>;
let asked: string[];
let changed: string[];
let logged: string[];
let clients: GatewayClients;

function sliceOf(addresses: readonly string[]): EndpointSlice {
  const endpoints = addresses.map((address) => {
    const isReady = ready[address];
    return { addresses: [address], conditions: isReady === undefined ? {} : { ready: isReady } };
  });
  const metadata = { name: 'copilot-gateway-abcde', namespace: 'operator' };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata,
    addressType: 'IPv4',
    endpoints,
    ports: [],
  };
}

beforeEach(() => {
  [answers, ready, asked, changed, logged] = [{}, {}, [], [], []];
  clients = new GatewayClients({
    client: {
      listAll: (_type, options) => {
        asked.push(`${options?.namespace} ${options?.labelSelector}`);
        return Promise.resolve({ items: [sliceOf(Object.keys(answers))] as never[], metadata: {} } as never);
      },
    },
    clock: { sleep: () => Promise.resolve() },
    log: { warn: (fields) => logged.push(JSON.stringify(fields)), info: (_fields, message) => logged.push(message) },
    namespace: 'operator',
    service: 'copilot-gateway',
    ask: (address) => {
      const answer = answers[address];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer ?? []);
    },
  });
  clients.onChange(({ name }) => changed.push(name));
});

const poll = () => clients.poll(new AbortController().signal);
const numbers = () => [ACME, GLOBEX].map((tenant) => tenant && clients.get(tenant));

describe('the clients of the gateway', () => {
  it('are not known before its replicas have answered', () => {
    expect(numbers()).toEqual([undefined, undefined]);
  });

  it('are those of all replicas, asked once for all tenants', async () => {
    answers = { '10.0.0.1': [count('acme', 2)], '10.0.0.2': [count('acme', 3), count('globex', 1)] };
    await poll();
    expect(numbers()).toEqual([5, 1]);
    expect(asked).toEqual(['operator kubernetes.io/service-name=copilot-gateway']);
  });

  it('are told by the tenants whose number has changed', async () => {
    answers = { '10.0.0.1': [count('acme', 2), count('globex', 1)] };
    await poll();
    await poll();
    expect(changed.splice(0)).toEqual(['acme', 'globex']);
    answers = { '10.0.0.1': [count('globex', 1)] };
    await poll();
    expect([changed, numbers()]).toEqual([['acme'], [0, 1]]);
  });

  it('stay as they were while a ready replica does not answer, which is logged once', async () => {
    answers = { '10.0.0.1': [count('acme', 2)], '10.0.0.2': [count('acme', 3)] };
    await poll();
    answers['10.0.0.2'] = new Error('connect ECONNREFUSED');
    await poll();
    await poll();
    expect(numbers()).toEqual([5, 0]);
    expect(logged).toEqual([expect.stringContaining('replica 10.0.0.2: connect ECONNREFUSED')]);
    answers['10.0.0.2'] = [];
    await poll();
    expect([numbers(), logged.at(-1)]).toEqual([[2, 0], 'clients of the gateway are counted again']);
  });

  it('include those of a replica that stops, and wait for none that is gone', async () => {
    ready = { '10.0.0.1': false, '10.0.0.2': false };
    answers = { '10.0.0.1': [count('acme', 2)], '10.0.0.2': new Error('timed out') };
    await poll();
    expect(numbers()).toEqual([2, 0]);
  });
});

describe('the replicas of a Service', () => {
  it('are each listed once, and ready where nothing else is said', () => {
    ready = { '10.0.0.1': false };
    const slices = [sliceOf(['10.0.0.1', '10.0.0.2'])];
    ready = { '10.0.0.1': true };
    expect(replicasOf([...slices, sliceOf(['10.0.0.1'])])).toEqual([
      { address: '10.0.0.1', isReady: true },
      { address: '10.0.0.2', isReady: true },
    ]);
  });
});
