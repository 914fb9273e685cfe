import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Decision, Grant } from '../../../../src/gateway/admission/admission.ts';
import { Authentication } from '../../../../src/gateway/client/authentication.ts';
import type { ConnectRequest } from '../../../../src/gateway/client/handshake.ts';
import { CLIENT_LIMITS } from '../../../../src/gateway/client/model.ts';
import type { Identity } from '../../../../src/gateway/model.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const ALICE: Identity = {
  tenant: { namespace: 'team', name: 'acme' },
  user: 'alice',
  credential: 'Kubernetes',
  expiresAt: undefined,
};
const DENIED: Decision = { denied: 'WrongCredential', message: 'wrong' };

let clock: FakeClock;
/** What the next tokens are decided to be. */
let decisions: (Decision | Promise<Decision>)[];
/** What a recheck says. */
let verdict: Decision | undefined;
let sent: { id: unknown; error?: { code: number }; result?: object }[];
/** What else was done to the connection, in this order. */
let done: string[];
let authentication: Authentication;

beforeEach(() => {
  clock = new FakeClock();
  [decisions, sent, done, verdict] = [[], [], [], undefined];
  authentication = new Authentication({
    admission: { decide: () => decisions.shift() ?? DENIED },
    clock,
    timers: clock,
    limits: CLIENT_LIMITS,
    send: (body) => void sent.push(JSON.parse(body)),
    denied: ({ denied }) => void done.push(`denied ${denied}`),
    tooMany: () => void done.push('too many'),
    close: ({ reason }) => void done.push(`close ${reason}`),
    dismiss: ({ reason }) => void done.push(`dismiss ${reason}`),
  });
});

function granted(identity: Partial<Identity> = {}): Grant {
  const self: Grant = { identity: { ...ALICE, ...identity }, recheck: () => verdict ?? self };
  return self;
}

function request(id: number): ConnectRequest {
  return { id, token: 't', problem: undefined, application: undefined, runsClientTasks: false };
}

/** Presents a token, and returns what was decided about it; `pending`: nothing yet. */
function present(decision: Decision | Promise<Decision>): { decided: Identity | 'pending' | undefined } {
  const found: { decided: Identity | 'pending' | undefined } = { decided: 'pending' };
  decisions.push(decision);
  authentication.present(request(1), (identity) => (found.decided = identity));
  return found;
}

function admitted(identity?: Partial<Identity>): void {
  present(granted(identity));
  authentication.watch();
}

describe('the first token', () => {
  it('says who the client is, at once if it can be decided at once', () => {
    expect(authentication.identity).toBeUndefined();
    expect(present(granted()).decided).toEqual(ALICE);
    expect(authentication.identity).toEqual(ALICE);
  });

  it('that is wrong is refused late, and says nothing', async () => {
    const found = present(DENIED);
    await clock.advance(CLIENT_LIMITS.refusalMs - 1);
    expect([found.decided, sent]).toEqual(['pending', []]);
    await clock.advance(1);
    expect([found.decided, authentication.identity, sent.length]).toEqual([undefined, undefined, 1]);
  });

  it('that is decided about after the end says nothing', async () => {
    const found = present(Promise.resolve(granted()));
    authentication.stop();
    await settle();
    expect([found.decided, authentication.identity]).toEqual(['pending', undefined]);
  });
});

describe('a fresh token', () => {
  it('takes the place of the one before, whose end is not the end of the client any more', async () => {
    admitted({ expiresAt: clock.now() + 10_000 });
    decisions.push(granted());
    authentication.renew(request(2));
    expect(sent).toMatchObject([{ id: 2, result: {} }]);
    expect(authentication.identity?.expiresAt).toBeUndefined();
    verdict = { denied: 'NotAuthenticated', message: 'expired' };
    await clock.advance(10_000);
    expect(done).toEqual([]);
  });

  it.each([
    ['user', { user: 'bob' }],
    ['tenant', { tenant: { namespace: 'team', name: 'other' } }],
    ['namespace', { tenant: { namespace: 'other', name: 'acme' } }],
  ])('of another %s is refused, and changes nothing', (_, identity) => {
    admitted();
    decisions.push(granted(identity));
    authentication.renew(request(2));
    expect(sent).toMatchObject([{ id: 2, error: {} }]);
    expect(authentication.identity).toEqual(ALICE);
  });

  it('has to wait until the one before is decided about', async () => {
    admitted();
    const { promise, resolve } = Promise.withResolvers<Decision>();
    decisions.push(promise, granted());
    authentication.renew(request(2));
    authentication.renew(request(3));
    expect(sent).toMatchObject([{ id: 3, error: {} }]);
    resolve(granted());
    await settle();
    expect(sent.slice(1)).toMatchObject([{ id: 2, result: {} }]);
    authentication.renew(request(4));
    expect(sent.slice(2)).toMatchObject([{ id: 4, result: {} }]);
  });
});

describe('an admitted client', () => {
  it('is looked at again when it is told to, and lets the client go in peace if its tenant is gone', () => {
    admitted();
    authentication.recheck();
    expect(done).toEqual([]);
    verdict = { denied: 'UnknownTenant', message: 'gone' };
    authentication.recheck();
    expect(done).toEqual(['dismiss CredentialRevoked']);
  });

  it('leaves no timer when its connection has ended, also if that was in the middle of its admission', () => {
    admitted();
    expect(clock.pendingTimers).toBe(1);
    authentication.stop();
    expect(clock.pendingTimers).toBe(0);
    authentication.watch();
    expect(clock.pendingTimers).toBe(0);
  });
});
