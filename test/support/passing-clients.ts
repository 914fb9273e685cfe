// A program: clients that come and go, few at a time. Prints how many bytes of each are in V8's old generation afterwards, where only a full collection
// frees them. With the argument `routed` they come to one of several replicas, which is their home. What streams of node leave there is about 2 KB;
// what the relay has of each of these clients is made large, to be told from that.
import { duplexPair, type Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { Registry } from 'prom-client';
import { encodeFrame } from '../../src/copilot/index.ts';
import type { Grant } from '../../src/gateway/admission/admission.ts';
import { Clients } from '../../src/gateway/client/clients.ts';
import { HalfOpen, HalfOpenSlot } from '../../src/gateway/client/half-open.ts';
import { UnreadMemory } from '../../src/gateway/client/unread-memory.ts';
import { RoutedRelay } from '../../src/gateway/forward/routed-relay.ts';
import { rulesByIsolation } from '../../src/gateway/methods/rules.ts';
import { createRelay, type ClosableRelay } from '../../src/gateway/relay/relay.ts';
import { ForwardMetrics } from '../../src/gateway/report/forward-metrics.ts';
import { GatewayMetrics } from '../../src/gateway/report/metrics.ts';
import { RelayMetrics } from '../../src/gateway/report/relay-metrics.ts';
import { systemClock } from '../../src/kube/clock/clock.ts';
import { ScriptedHomes } from './routed-world.ts';
import { StaticFleet, TENANT } from './static-fleet.ts';
import { StaticOwnership } from './static-ownership.ts';

const AT_ONCE = 32;
/** The latest of them, which are not admitted yet. */
const STRANGERS = 8;
const CLIENTS = 1_500;
/** Of each client, in words. */
const LARGE = 2_048;
const CONNECT = encodeFrame(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'connect', params: { token: 'good' } }));

const clock = systemClock;
const fleet = new StaticFleet({ host: '10.0.0.1', port: 4321 }, 'token');
const registry = new Registry();
const local = createRelay({
  fleet,
  clock,
  log: { info: () => undefined },
  observer: new RelayMetrics(registry),
  rules: rulesByIsolation(),
  ownership: new StaticOwnership(),
});
const grant: Grant = {
  identity: { tenant: TENANT, user: undefined, credential: 'Binding', expiresAt: undefined },
  recheck: () => grant,
};
const metrics = new GatewayMetrics(registry);
const halfOpen = new HalfOpen();
const relay: ClosableRelay = {
  ...local,
  attach: (link) => Object.assign(local.attach(link), { large: Array.from({ length: LARGE }, () => link.id) }),
};
const unread = new UnreadMemory({ total: 100_000_000, free: 1_000 });
const routed = new RoutedRelay({
  relay,
  homes: new ScriptedHomes('here', { home: 'here', next: 'here' }, () => {
    throw new Error('there is no other replica');
  }),
  fleet,
  rules: rulesByIsolation(),
  unread,
  clock,
  random: Math.random,
  log: { info: () => undefined },
  observer: new ForwardMetrics(registry),
});
const clients = new Clients({
  admission: { decide: () => grant },
  relay: process.argv[2] === 'routed' ? routed : relay,
  unread,
  fleet,
  clock,
  random: Math.random,
  halfOpen,
  observer: {
    admitted: () => metrics.admission('Admitted'),
    denied: () => undefined,
    closed: (_, { reason }) => metrics.closed(reason),
    received: (bytes) => metrics.received(bytes),
    receivedFrame: () => metrics.receivedFrame(),
    sent: (bytes, frames) => metrics.sent(bytes, frames),
    oversize: () => undefined,
    rateExceeded: () => undefined,
  },
  maxClients: 10_000,
  maxPerTenant: 10_000,
  maxUnreadBytes: 100_000_000,
  pauses: { isPaused: () => false },
});

function come(): Duplex {
  const [here, there] = duplexPair();
  const slot = new HalfOpenSlot('10.0.0.9', () => here.destroy());
  halfOpen.add(slot);
  here.once('close', () => halfOpen.remove(slot));
  clients.open(here, '10.0.0.9:1', slot);
  there.resume();
  return there;
}

const oldBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0;

/** Returns those that are still there. */
async function pass(count: number): Promise<Duplex[]> {
  const there: Duplex[] = [];
  for (let index = 0; index < count; index += 1) {
    there.push(come());
    there.at(-STRANGERS)?.write(CONNECT);
    await setImmediate();
    if (there.length > AT_ONCE) there.shift()?.end();
    await setImmediate();
  }
  return there;
}

const { gc: collect } = globalThis;
if (collect === undefined) throw new Error('node was started without --expose-gc');
// Whoever is there while everything is collected is moved to the old generation, with the tables that have them.
for (let round = 0; round < 3; round += 1) {
  const there = await pass(500);
  collect();
  for (const each of there) each.end();
}
while (clients.size > 0) await setImmediate();
const before = oldBytes();
await pass(CLIENTS);
console.log((oldBytes() - before) / CLIENTS);
process.exit();
