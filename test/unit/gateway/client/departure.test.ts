import { beforeEach, describe, expect, it } from '@jest/globals';
import { Departure } from '../../../../src/gateway/client/departure.ts';
import type { CloseReason } from '../../../../src/gateway/model.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const DRAINED: CloseReason = { reason: 'Drained', message: 'this gateway stops' };
const GONE: CloseReason = { reason: 'CredentialRevoked', message: 'gone' };
const limits = { partingMs: 100, dismissMs: 2000 };

let clock: FakeClock;
let isBusy: boolean;
let isBehind: boolean;
/** What was done to the client, in this order. */
let done: string[];
let departure: Departure;

beforeEach(() => {
  clock = new FakeClock();
  [isBusy, isBehind, done] = [false, false, []];
  departure = new Departure({
    timers: clock,
    clock,
    limits,
    isBusy: () => isBusy,
    isBehind: () => isBehind,
    stopReading: () => void done.push('not read'),
    dismissed: () => void done.push('dismissed'),
    close: ({ reason }) => void done.push(reason),
  });
});

describe('a client that is to leave', () => {
  it('is not read any more as soon as it is idle, and closed a moment later', async () => {
    departure.leave(DRAINED);
    expect(done).toEqual(['not read']);
    await clock.advance(99);
    expect(done).toEqual(['not read']);
    await clock.advance(1);
    expect(done).toEqual(['not read', 'Drained']);
  });

  it('is told one reason, the first one, however often it is asked to', async () => {
    departure.leave(DRAINED);
    departure.leave(GONE);
    await clock.advance(1000);
    expect(done).toEqual(['not read', 'Drained']);
  });

  it('stays while something of it is under way, until it is sent the end of that', async () => {
    isBusy = true;
    departure.leave(DRAINED);
    departure.sent();
    await settle();
    expect(done).toEqual([]);
    departure.sent();
    // The relay takes it in after it has sent it.
    isBusy = false;
    expect(done).toEqual([]);
    await settle();
    expect(done).toEqual(['not read']);
  });

  it('stays while it has much to read', async () => {
    isBehind = true;
    departure.leave(DRAINED);
    await clock.advance(1000);
    expect(done).toEqual([]);
    isBehind = false;
    departure.leave(DRAINED);
    expect(done).toEqual(['not read']);
  });
});

describe('a client whose tenant is gone', () => {
  it('is closed when nothing of it is under way any more, and is read until then', async () => {
    isBusy = true;
    departure.dismiss(GONE);
    departure.sent();
    await clock.advance(500);
    expect(done).toEqual(['dismissed']);
    isBusy = false;
    await clock.advance(25);
    expect(done).toEqual(['dismissed', 'CredentialRevoked']);
  });

  it('is dismissed once, and not waited for for ever', async () => {
    isBusy = true;
    departure.dismiss(GONE);
    departure.dismiss(GONE);
    await clock.advance(1990);
    expect(done).toEqual(['dismissed']);
    await clock.advance(10);
    expect(done).toEqual(['dismissed', 'CredentialRevoked']);
  });
});

it('does nothing when the connection has ended, and leaves no timer', async () => {
  isBusy = true;
  departure.leave(DRAINED);
  departure.dismiss(GONE);
  departure.sent();
  isBusy = false;
  departure.stop();
  departure.leave(DRAINED);
  await clock.advance(5000);
  expect([done, clock.pendingTimers]).toEqual([['dismissed'], 0]);
});
