import { beforeEach, describe, expect, it } from '@jest/globals';
import { SoleGateway } from '../../../../src/gateway/locks/sole-gateway.ts';
import type { Lease } from '../../../../src/kube/types/builtins.ts';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const REQUEST = { method: 'PUT', path: '/leases' };

let clock: FakeClock;
let stored: Lease | undefined;
let version: number;
let isAway: boolean;
let stop: AbortController;
let logged: string[];

beforeEach(() => {
  clock = new FakeClock();
  stored = undefined;
  version = 0;
  isAway = false;
  stop = new AbortController();
  logged = [];
});

async function write(lease: Lease): Promise<Lease> {
  if (isAway) throw new TransportError(REQUEST, 'network', 'ECONNREFUSED');
  const seen = lease.metadata.resourceVersion;
  if (seen !== stored?.metadata.resourceVersion) throw new StatusError(REQUEST, { code: 409, reason: 'Conflict' });
  version += 1;
  return (stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(version) } });
}

const client = {
  get: async () => {
    if (isAway) throw new TransportError(REQUEST, 'network', 'ECONNREFUSED');
    if (stored === undefined) throw new StatusError(REQUEST, { code: 404, reason: 'NotFound' });
    return stored;
  },
  create: (_type: unknown, lease: Lease) => write(lease),
  update: (_type: unknown, lease: Lease) => write(lease),
};

function gateway(pod: string, id = '1'): SoleGateway {
  const warn = (_fields: object, message: string): void => void logged.push(message);
  const log = { info: () => undefined, warn } as never;
  return new SoleGateway({ client: client as never, clock, log, namespace: 'operator', pod, id });
}

/** How a claim has ended so far. */
function claimOf(sole: SoleGateway): () => string {
  let outcome = 'waits';
  sole.claim(stop.signal).then(
    () => (outcome = 'alone'),
    (error: Error) => (outcome = error.message),
  );
  return () => outcome;
}

/** It has claimed it and keeps it. */
async function running(pod: string): Promise<{ readonly sole: SoleGateway; readonly end: () => string }> {
  const sole = gateway(pod);
  await sole.claim(stop.signal);
  let end = 'runs';
  sole.run(stop.signal).catch((error: Error) => (end = error.message));
  return { sole, end: () => end };
}

describe('a gateway with a store in memory', () => {
  it('is refused while another one runs, which is named, with the remedy', async () => {
    await running('gateway-a');
    const second = claimOf(gateway('gateway-b'));
    await clock.advance(5_000);
    expect(second()).toContain('--coordination=memory is for a gateway with one replica, and gateway-a runs');
    expect(second()).toContain('kubectl scale --replicas=1');
    expect(stored?.spec?.holderIdentity).toBe('gateway-a_1');
  });

  it('is one of two that start at once', async () => {
    const both = [claimOf(gateway('gateway-a')), claimOf(gateway('gateway-b'))];
    await clock.advance(2_000);
    const outcomes = both.map((outcome) => outcome());
    expect(outcomes.filter((outcome) => outcome === 'alone')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome.includes('runs: scale'))).toHaveLength(1);
  });

  it('follows at once when the one before has ended', async () => {
    const { sole } = await running('gateway-a');
    await sole.release();
    const next = claimOf(gateway('gateway-b'));
    await clock.advance(0);
    expect(next()).toBe('alone');
  });

  it('follows at once in the same pod, whose container has ended', async () => {
    await gateway('gateway-a').claim(stop.signal);
    const next = claimOf(gateway('gateway-a', '2'));
    await clock.advance(0);
    expect(next()).toBe('alone');
  });

  it('waits until the Lease of one that has died was not renewed for its duration', async () => {
    await gateway('gateway-a').claim(stop.signal);
    const next = claimOf(gateway('gateway-b'));
    await clock.advance(14_000);
    expect(next()).toBe('waits');
    await clock.advance(2_000);
    expect(next()).toBe('alone');
  });

  it('goes on while the API server is away, and ends when another one has taken its place', async () => {
    const { end } = await running('gateway-a');
    isAway = true;
    await clock.advance(60_000);
    expect([end(), logged]).toEqual(['runs', ['the Lease of the one gateway cannot be written']]);
    isAway = false;
    await clock.advance(10_000);
    expect(end()).toBe('runs');
    if (stored !== undefined) await write({ ...stored, spec: { ...stored.spec, holderIdentity: 'gateway-b_1' } });
    await clock.advance(5_000);
    expect(end()).toContain('gateway-b runs');
  });

  it('says what is wrong while it cannot write the Lease, such as that its namespace does not exist', async () => {
    const create = () => Promise.reject(new StatusError(REQUEST, { code: 404, reason: 'NotFound' }));
    const log = { info: () => undefined, warn: (_fields: object, message: string) => void logged.push(message) };
    const means = { client: { ...client, create } as never, log: log as never, clock, namespace: 'none' };
    const claim = claimOf(new SoleGateway({ ...means, pod: 'gateway-a', id: '1' }));
    await clock.advance(30_000);
    expect([claim(), logged]).toEqual(['waits', ['the Lease of the one gateway cannot be written']]);
  });

  it('makes its Lease again when somebody deletes it', async () => {
    const { end } = await running('gateway-a');
    stored = undefined;
    await clock.advance(5_000);
    expect([end(), stored]).toEqual(['runs', expect.objectContaining({ kind: 'Lease' })]);
  });
});
