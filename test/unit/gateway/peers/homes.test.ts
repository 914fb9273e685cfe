// Two replicas never are the home of a tenant and may act for it: every interleaving of a small model of replicas, API server and network.
import { describe, expect, it } from '@jest/globals';
import { Core } from '../../../../src/gateway/peers/core.ts';
import { explore, settled, TENANT, type Budget, type ExploreOptions, type Mutant } from './model.ts';

/** Names of the replicas that run at first, what may happen, whether the first one is the home already, and who has become the home in some interleaving. */
type Scenario = readonly [
  what: string,
  replicas: readonly string[],
  budget: Omit<Budget, 'steps'> & { readonly steps?: number },
  start: 'HasHome' | 'NoHome',
  homes: readonly string[],
  options?: ExploreOptions,
];

const SCENARIOS: readonly Scenario[] = [
  [
    'claim, claim again and release',
    ['a', 'b'],
    { routes: 3, releases: 1 },
    'NoHome',
    ['a1', 'b2'],
    { keepsStale: true },
  ],
  ['claim, three of them', ['a', 'b', 'c'], { routes: 2 }, 'NoHome', ['a1', 'b2', 'c3']],
  ['are killed', ['a', 'b'], { steps: 5, routes: 1, crashes: 1 }, 'HasHome', ['a1', 'b2']],
  [
    'are killed and start again',
    ['a', 'b'],
    { steps: 1, routes: 1, crashes: 1, starts: 1 },
    'HasHome',
    ['a1', 'b2', 'a3'],
  ],
  ['are paused', ['a', 'b'], { steps: 5, routes: 1, pauses: 1 }, 'HasHome', ['a1', 'b2']],
  [
    'are paused while answers are late',
    ['a', 'b'],
    { steps: 5, routes: 1, pauses: 1, delays: 1 },
    'HasHome',
    ['a1', 'b2'],
  ],
  ['are paused while others join', ['a'], { steps: 5, routes: 1, starts: 1, pauses: 1 }, 'HasHome', ['a1', 'b2']],
  ['are joined by others', ['a'], { routes: 2, starts: 2 }, 'NoHome', ['a1', 'b2', 'c3']],
  ['are cut off from the API server', ['a', 'b'], { steps: 4, routes: 1, outages: 2 }, 'HasHome', ['a1']],
  [
    'are cut off from each other, too',
    ['a', 'b'],
    { steps: 5, routes: 1, outages: 1, cuts: 1 },
    'HasHome',
    ['a1', 'b2'],
  ],
];

describe('replicas that', () => {
  it.each(SCENARIOS)(
    '%s never are the home twice',
    // With a last parameter of its own, Jest would take it for its callback where a row has none.
    (_what, replicas, budget, home, homes, ...[options]) => {
      const found = explore(settled(replicas, { steps: 0, ...budget }, home === 'HasHome'), {}, options);
      expect(found.violation).toBeUndefined();
      // The search got that far.
      expect([...found.homes]).toEqual(expect.arrayContaining([...homes]));
    },
    120_000,
  );
});

/** Each leaves out one thing that the protocol relies on, and is found in this world. */
const MUTANTS: readonly (readonly [
  what: string,
  mutant: Mutant,
  replicas: readonly string[],
  budget: Omit<Budget, 'steps'> & { readonly steps?: number },
  start: 'HasHome' | 'NoHome',
])[] = [
  [
    'a claim asks nobody',
    {
      received: (_core, { message, from }, honest) => {
        if (message.type !== 'Ask') return honest();
        const gossip = { members: [], dead: [], isDraining: false };
        return [{ kind: 'Send', to: from.id, message: { ...message, type: 'Answer', answer: 'Granted', gossip } }];
      },
    },
    ['a', 'b'],
    { routes: 2 },
    'NoHome',
  ],
  [
    'a grant does not end the own claim',
    {
      received: (core, { message }, honest) => {
        const before = core.state.searches.get(TENANT);
        const effects = honest();
        if (message.type === 'Ask' && before?.intent === 'Claim') core.state.searches.set(TENANT, before);
        return effects;
      },
    },
    ['a', 'b'],
    { routes: 2 },
    'NoHome',
  ],
  [
    'the age of the last renewal is not looked at',
    { after: (state, now) => void (state.renewedAt = now), mayAct: ({ isJoined }) => isJoined },
    ['a', 'b'],
    { steps: 4, routes: 1, pauses: 1 },
    'HasHome',
  ],
  [
    'a Lease is deleted although it was renewed',
    { ignoresVersions: true },
    ['a', 'b'],
    { steps: 5, routes: 1, outages: 1, cuts: 1 },
    'HasHome',
  ],
  [
    'a promise is forgotten',
    {
      after: ({ members }) => {
        for (const member of members.values()) member.promisedAt = -Infinity;
      },
    },
    ['a', 'b'],
    { steps: 5, routes: 1, outages: 1 },
    'HasHome',
  ],
  [
    'who claims is not learned',
    {
      received: (core, { message, from }, honest) => {
        const isNew = !core.state.members.has(from.id);
        const effects = honest();
        if (isNew && message.type === 'Ask') core.state.members.delete(from.id);
        return effects;
      },
    },
    ['a'],
    { routes: 2, starts: 1 },
    'NoHome',
  ],
  [
    'a replica that is alone goes on after a pause',
    {
      after: (state, now) => void (state.tickedAt = now),
      mayAct: (state, now) => new Core(state).mayAct(now) || (state.members.size === 0 && state.isJoined),
    },
    ['a'],
    { steps: 5, routes: 1, starts: 1, pauses: 1 },
    'HasHome',
  ],
  [
    'a promise is given while the Lease is deleted',
    {
      received: (core, { message, from }, honest) => {
        const member = core.state.members.get(from.id);
        const isExpiring = member?.isExpiring === true;
        if (member !== undefined && message.type === 'Heartbeat') member.isExpiring = false;
        const effects = honest();
        if (member !== undefined && isExpiring) member.isExpiring = true;
        return effects;
      },
    },
    ['a', 'b'],
    { steps: 5, routes: 2, outages: 1, cuts: 1 },
    'HasHome',
  ],
];

describe('the search finds it when', () => {
  it.each(MUTANTS)(
    '%s',
    (_what, mutant, replicas, budget, start) => {
      const world = settled(replicas, { steps: 0, ...budget }, start === 'HasHome', mutant);
      expect(explore(world, mutant).violation).toBeDefined();
    },
    120_000,
  );
});
