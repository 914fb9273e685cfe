import { describe, expect, it } from '@jest/globals';
import { StatusError, TransportError, type TransportFailure } from '../../../../src/kube/types/errors.ts';
import { decideRelist, SilentWatchError, type ListWatchResult } from '../../../../src/kube/cache/relist.ts';

const request = { method: 'WATCH', path: '/x' };
const status = (code: number): StatusError => new StatusError(request, { code, message: 'refused' });
const lost = (failure: TransportFailure): TransportError => new TransportError(request, failure, 'broken');
const silent = new SilentWatchError('no event');

/** A watch that had been listed, lived for five minutes and brought events. */
const healthy: ListWatchResult = { events: 5, durationMs: 300_000, listed: true, streamedList: false, suspicions: 0 };
const fruitless: ListWatchResult = { ...healthy, events: 0, durationMs: 100 };
const listing: ListWatchResult = { ...healthy, listed: false, streamedList: true, durationMs: 100 };

describe('after a watch', () => {
  it.each<[string, ListWatchResult, object]>([
    ['that reached its time-out', healthy, { action: 'resume', backOff: false, reason: 'WatchEnded' }],
    [
      'that ended soon, whatever it received',
      { ...healthy, durationMs: 9999 },
      { action: 'resume', backOff: true, reason: 'ShortWatch' },
    ],
    [
      'that was lost',
      { ...healthy, error: lost('network') },
      { action: 'resume', backOff: true, reason: 'ConnectionLost' },
    ],
    [
      'that ended inside a line',
      { ...healthy, error: lost('truncated') },
      { action: 'resume', reason: 'ConnectionLost' },
    ],
    [
      'that received garbage',
      { ...healthy, error: lost('protocol') },
      { action: 'relist', backOff: true, reason: 'Garbage' },
    ],
    ['that has expired', { ...healthy, error: status(410) }, { action: 'relist', backOff: true, reason: 'Expired' }],
    [
      'of a resource that is no longer served',
      { ...healthy, error: status(404) },
      { action: 'relist', reason: 'ResourceMissing' },
    ],
    ['that was silent', { ...healthy, error: silent }, { action: 'resume', backOff: true, reason: 'Silent' }],
    ['that failed inside the server', { ...healthy, error: status(500) }, { action: 'resume', reason: 'ServerError' }],
  ])('%s', (_, end, step) => {
    expect(decideRelist(end)).toMatchObject(step);
  });

  it.each([
    ['silence', silent],
    ['a server error', status(500)],
    ['a version that the server does not know yet', status(504)],
    ['an end at once', undefined],
  ])('%s twice in a row without an event between: the resourceVersion is suspicious, so list again', (_, error) => {
    expect(decideRelist({ ...fruitless, error })).toMatchObject({ action: 'resume', suspicious: true });
    expect(decideRelist({ ...fruitless, error, suspicions: 1 })).toMatchObject({ action: 'relist' });
    // An event in between shows that the resourceVersion was good.
    expect(decideRelist({ ...fruitless, error, suspicions: 1, events: 1, durationMs: 100 })).toMatchObject({
      action: 'resume',
    });
  });

  it('that is forbidden: resume, with that reason', () => {
    expect(decideRelist({ ...fruitless, error: status(403) })).toMatchObject({ action: 'resume', reason: 'Forbidden' });
  });

  it.each([401, 403, 429, 503])('a %d does not make the resourceVersion suspicious: resume, however often', (code) => {
    expect(decideRelist({ ...fruitless, error: status(code), suspicions: 9 })).toMatchObject({
      action: 'resume',
      suspicious: false,
    });
  });

  it('a server that is down does not make the resourceVersion suspicious: resume, however often', () => {
    expect(decideRelist({ ...fruitless, error: lost('network'), suspicions: 9 })).toMatchObject({ action: 'resume' });
  });
});

describe('after a list that was not completed', () => {
  it.each([
    ['an end', undefined],
    ['a lost connection', lost('network')],
    ['a server error', status(500)],
    ['too many requests', status(429)],
  ])('%s: list again after the back-off', (_, error) => {
    expect(decideRelist({ ...listing, error })).toMatchObject({ action: 'relist', list: 'stream', backOff: true });
  });

  it.each([400, 422])('a %d: the server does not stream lists, so read pages at once', (code) => {
    expect(decideRelist({ ...listing, error: status(code) })).toMatchObject({
      action: 'relist',
      list: 'pages',
      backOff: false,
      reason: 'StreamedListRefused',
    });
    const again = { ...listing, streamedList: false, error: status(code) };
    expect(decideRelist(again)).toMatchObject({ list: 'stream', backOff: true });
  });

  it('silence: an old server ignores sendInitialEvents and never ends the list, so read pages', () => {
    expect(decideRelist({ ...listing, error: silent })).toMatchObject({
      action: 'relist',
      list: 'pages',
      backOff: true,
    });
  });
});
