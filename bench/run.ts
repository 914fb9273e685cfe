// Runs the benchmarks one after the other, because they share the cores, and writes their sections of bench/RESULTS.md.
// Each section is of one run, with its floor, and names its commit.
// `node bench/run.ts --only convergence --tenants 200`
// `node bench/run.ts --only gateway-relay --before OTHER/dist/main.js`: what the bundle of another commit takes for the same.
import { parseArgs } from 'node:util';
import { connect, requireNoTenants } from './lib/cluster.ts';
import { Tenant } from './lib/fleet.ts';
import { record } from './lib/record.ts';
import { toMarkdown, type BenchOptions, type BenchResult } from './lib/result.ts';

/** Loaded on demand, so that the others cost no import. */
const benches: Record<string, () => Promise<{ run(options: BenchOptions): Promise<BenchResult> }>> = {
  startup: () => import('./startup.ts'),
  'first-tenant': () => import('./first-tenant.ts'),
  convergence: () => import('./convergence.ts'),
  sessions: () => import('./sessions.ts'),
  'steady-state': () => import('./steady-state.ts'),
  memory: () => import('./memory.ts'),
  scale: () => import('./scale.ts'),
  pinger: () => import('./pinger.ts'),
  cleanup: () => import('./cleanup.ts'),
  'gateway-relay': () => import('./gateway-relay.ts'),
  'gateway-clients': () => import('./gateway-clients.ts'),
  'gateway-failover': () => import('./gateway-failover.ts'),
  'gateway-move': () => import('./gateway-move.ts'),
  'gateway-placed': () => import('./gateway-placed.ts'),
  'gateway-restart': () => import('./gateway-restart.ts'),
  'gateway-forward': () => import('./gateway-forward.ts'),
  'gateway-slow-client': () => import('./gateway-slow-client.ts'),
  'gateway-turn': () => import('./gateway-turn.ts'),
  'gateway-tenants': () => import('./gateway-tenants.ts'),
  sleeping: () => import('./sleeping.ts'),
  coordination: () => import('./coordination.ts'),
};

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    tenants: { type: 'string', default: '200' },
    before: { type: 'string' },
  },
});
const tenants = Number(values.tenants);
if (!Number.isInteger(tenants) || tenants < 1)
  throw new Error(`invalid --tenants ${values.tenants}: use a whole number from 1`);
const chosen = values.only ?? Object.keys(benches);

/** These run on this machine only. */
const withoutCluster: readonly string[] = [
  'cleanup',
  'coordination',
  'gateway-relay',
  'gateway-clients',
  'gateway-failover',
  'gateway-move',
  'gateway-placed',
  'gateway-restart',
  'gateway-forward',
  'gateway-slow-client',
  'gateway-turn',
  'gateway-tenants',
  'pinger',
  'sleeping',
  'scale',
];
if (!chosen.every((name) => withoutCluster.includes(name))) {
  await using connection = connect();
  await requireNoTenants(connection.client, Tenant);
}

const missed: string[] = [];
for (const name of chosen) {
  const load = benches[name];
  if (!load) throw new Error(`unknown benchmark '${name}': use one of ${Object.keys(benches).join(', ')}`);
  console.error(`bench ${name} ...`);
  const result = await (await load()).run({ tenants, before: values.before });
  console.error(toMarkdown(result));
  // Written at once, so that a later failure loses no result.
  record(result);
  missed.push(...result.figures.filter(({ met }) => met === false).map(({ metric }) => `${result.name}: ${metric}`));
}
if (missed.length > 0) {
  console.error(`missed: ${missed.join('; ')}`);
  process.exitCode = 1;
}
