import { describe, expect, it } from '@jest/globals';
import { StatusError, TransportError } from '../../../../src/kube/types/errors.ts';
import { decideRetry, parseRetryAfter } from '../../../../src/kube/client/retry.ts';

const request = { method: 'GET', path: '/x' };
const status = (code: number, retryAfterMs?: number): StatusError => new StatusError(request, { code }, retryAfterMs);
const network = (notSent: boolean): TransportError => new TransportError(request, 'network', 'broken', { notSent });
const deadline = new TransportError(request, 'deadline', 'too late');

describe('a failed request is sent again', () => {
  it.each([
    ['throttled, write', status(429, 1000), 0, false, { retry: true, delayMs: 1000, reason: 'Throttled' }],
    ['throttled, four times already', status(429, 1000), 4, true, { retry: false, reason: 'TooManyAttempts' }],
    ['throttled, for too long', status(429, 10_001), 0, true, { retry: false, reason: 'WaitTooLong' }],
    ['429 without a time', status(429), 0, true, { retry: false, reason: 'NotRetriable' }],
    ['503 with a time, read', status(503, 1000), 0, true, { retry: true, delayMs: 1000, reason: 'ServerAsked' }],
    ['503 with a time, write', status(503, 1000), 0, false, { retry: false, reason: 'NotRetriable' }],
    ['500 without a time', status(500), 0, true, { retry: false, reason: 'NotRetriable' }],
    ['409', status(409), 0, true, { retry: false, reason: 'NotRetriable' }],
    ['connection lost, read', network(false), 0, true, { retry: true, delayMs: 100, reason: 'ConnectionLost' }],
    ['connection lost, read, again', network(false), 1, true, { retry: true, delayMs: 200, reason: 'ConnectionLost' }],
    ['connection lost, read, thrice', network(false), 2, true, { retry: false, reason: 'TooManyAttempts' }],
    ['connection lost, write', network(false), 0, false, { retry: false, reason: 'NotRetriable' }],
    ['refused, write', network(true), 0, false, { retry: true, delayMs: 100, reason: 'NotSent' }],
    ['deadline, read', deadline, 0, true, { retry: false, reason: 'NotRetriable' }],
    ['some other error', new Error('no leader'), 0, true, { retry: false, reason: 'NotRetriable' }],
  ])('%s', (_, error, attempt, idempotent, decision) => {
    expect(decideRetry(error, { attempt, idempotent, jitter: 0 })).toMatchObject(decision);
  });

  it('never before Retry-After, and at most a tenth later', () => {
    expect(decideRetry(status(429, 1000), { attempt: 0, idempotent: true, jitter: 0.999 }).delayMs).toBeCloseTo(
      1100,
      -1,
    );
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  it.each([
    ['3', 3000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:07 GMT', 7000],
    ['Thu, 01 Jan 2026 00:00:00 GMT', 0],
    ['Wed, 31 Dec 2025 23:59:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('%p is %p ms', (header, ms) => {
    expect(parseRetryAfter(header, now)).toBe(ms);
  });
});
