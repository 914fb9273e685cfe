import { beforeEach, describe, expect, it } from '@jest/globals';
import { Greeting } from '../../../../src/gateway/client/greeting.ts';
import type { Identity } from '../../../../src/gateway/model.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const ALICE: Identity = {
  tenant: { namespace: 'team', name: 'acme' },
  user: 'alice',
  credential: 'Kubernetes',
  expiresAt: undefined,
};

let clock: FakeClock;
/** Decides about the token that is looked at; undefined: none is. */
let decide: ((identity: Identity | undefined) => void) | undefined;
/** What is decided at once; undefined: it takes time. */
let atOnce: Identity | undefined;
/** What was done to the connection, in this order. */
let done: string[];
let greeting: Greeting;

beforeEach(() => {
  clock = new FakeClock();
  [done, decide, atOnce] = [[], undefined, undefined];
  greeting = new Greeting({
    timers: clock,
    clock,
    limits: { greetingMs: 5000, greetingBytes: 100 },
    authentication: {
      present: (_, decided) => {
        if (atOnce !== undefined) return decided(atOnce);
        decide = (identity) => {
          decide = undefined;
          decided(identity);
        };
      },
    },
    socket: { setReading: ({ admission }) => void done.push(admission === true ? 'read' : 'not read') },
    send: () => void done.push('answer'),
    close: ({ reason }) => void done.push(`close ${reason}`),
    become: (event) => void done.push(event),
    admit: (_, { user }) => {
      done.push(`admit ${user}`);
      greeting.end();
    },
    // One that is denied is greeted again.
    onBody: (body) => {
      done.push(`body ${(JSON.parse(body.toString()) as { id: number }).id}`);
      if (!done.includes('admit alice')) greeting.frame(body);
    },
  });
});

function frame(method: string, id: number): Buffer {
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params: { token: 't' } }));
}

describe('a token that takes time', () => {
  it('holds back what follows, which is not read meanwhile, and goes on in its order', () => {
    greeting.frame(frame('connect', 1));
    // The bytes of a frame are those of the next one after the call.
    const body = frame('a', 2);
    greeting.frame(body);
    body.fill(' ');
    greeting.frame(frame('b', 3));
    expect(done).toEqual(['presented', 'not read']);
    decide?.(ALICE);
    expect(done.slice(2)).toEqual(['admit alice', 'body 2', 'body 3', 'read']);
  });

  it('that is refused may be followed by another one, which what came behind it waits for', () => {
    greeting.frame(frame('connect', 1));
    greeting.frame(frame('connect', 2));
    greeting.frame(frame('a', 3));
    decide?.(undefined);
    expect(done.slice(2)).toEqual(['denied', 'body 2', 'presented', 'not read', 'body 3']);
    decide?.(ALICE);
    expect(done.slice(7)).toEqual(['admit alice', 'body 3', 'read']);
  });

  it('holds nothing back any more when the connection has ended', () => {
    greeting.frame(frame('connect', 1));
    greeting.frame(frame('a', 2));
    greeting.end();
    expect([done, clock.pendingTimers]).toEqual([['presented', 'not read'], 0]);
    decide?.(undefined);
    expect(done).not.toContain('body 2');
  });
});

it('a token that is decided about at once does not stop the client', () => {
  atOnce = ALICE;
  greeting.frame(frame('connect', 1));
  expect(done).toEqual(['presented', 'admit alice', 'read']);
});

it('closes a client that is not admitted in time', async () => {
  await clock.advance(5001);
  expect(done).toEqual(['close GreetingTimeout']);
  expect(clock.pendingTimers).toBe(0);
});

it('closes a client that sends too much', () => {
  greeting.received(60);
  greeting.received(40);
  expect(done).toEqual([]);
  greeting.received(1);
  expect(done).toEqual(['close GreetingTooLarge']);
});
