import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  rolloutDecision,
  runsPreviousCredentials,
  type CredentialsInput,
  type RolloutServer,
} from '../../../../src/tenant/decisions/rollout.ts';
import { unhealthy } from '../fixtures.ts';

/** Servers by their letters: P waits for a change, A is available, b waits and is available, - is neither. */
function servers(letters: string): RolloutServer[] {
  return letters.split('').map((letter, index) => ({
    index,
    pending: letter === 'P' || letter === 'b',
    available: letter === 'A' || letter === 'b',
  }));
}

const anyServers = fc
  .array(fc.record({ pending: fc.boolean(), available: fc.boolean() }), { maxLength: 8 })
  .map((list) => list.map((server, index) => ({ index, ...server })));
const shuffledServers = anyServers.chain((list) => fc.shuffledSubarray(list, { minLength: list.length }));

describe('which servers may be replaced', () => {
  it.each([
    ['all are up to date', 'AAA', [], 'UpToDate'],
    ['all serve: the lowest index is first', 'bbb', [0], 'OneAtATime'],
    ['the first is done: the next one follows', 'Abb', [1], 'OneAtATime'],
    ['the first is starting: all others wait for it', '-bb', [], 'WaitingForServer'],
    ['a server that is down is replaced while the others keep serving', 'bPb', [1], 'ReplacingBroken'],
    ['all servers that are down are replaced at once', 'PPA', [0, 1], 'ReplacingBroken'],
    ['there are no servers', '', [], 'UpToDate'],
  ])('%s', (_, letters, allowed, reason) => {
    const turn = rolloutDecision(servers(letters));
    expect([...turn.allowed]).toEqual(allowed);
    expect(turn.reason).toBe(reason);
  });

  it('a wait names the server that is waited for', () => {
    expect(rolloutDecision(servers('bA-')).message).toContain('Server 2 must be available');
  });

  it('never allows a second serving server, nor one while another is down', () => {
    fc.assert(
      fc.property(shuffledServers, (list) => {
        const { allowed } = rolloutDecision(list);
        const taken = list.filter(({ index, available }) => available && allowed.has(index));
        expect(taken.length).toBeLessThanOrEqual(1);
        if (taken.length > 0) expect(list.filter(({ available }) => !available)).toEqual([]);
      }),
    );
  });

  it('allows only servers with a pending change', () => {
    fc.assert(
      fc.property(shuffledServers, (list) => {
        const pending = list.filter((server) => server.pending).map(({ index }) => index);
        expect(pending).toEqual(expect.arrayContaining([...rolloutDecision(list).allowed]));
      }),
    );
  });

  it('ends: when each allowed server becomes available again, all of them get the change', () => {
    fc.assert(
      fc.property(anyServers, (list) => {
        let now = list.map((server) => ({ ...server, available: server.available || !server.pending }));
        for (const _ of list) {
          const { allowed } = rolloutDecision(now);
          now = now.map((server) =>
            allowed.has(server.index) ? { ...server, pending: false, available: true } : server,
          );
        }
        expect(now.filter(({ pending }) => pending)).toEqual([]);
      }),
    );
  });
});

describe('a server that rejects the token', () => {
  const serves = (other: Partial<CredentialsInput>) =>
    runsPreviousCredentials({
      health: unhealthy('AuthFailed'),
      running: true,
      current: 'previous',
      desired: 'new',
      ...other,
    });

  it('still serves when it only has the token from before a rotation', () => {
    expect(serves({})).toBe(true);
  });

  it.each<[string, Partial<CredentialsInput>]>([
    ['it was created with the token that it rejects', { current: 'new' }],
    ['its pod is not ready', { running: false }],
    ['it does not respond at all', { health: unhealthy('Timeout') }],
    ['nothing is known of it', { health: { state: 'Unknown' } }],
  ])('is down when %s', (_, other) => {
    expect(serves(other)).toBe(false);
  });
});
