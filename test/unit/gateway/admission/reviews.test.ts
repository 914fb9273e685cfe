import { describe, expect, it } from '@jest/globals';
import { ApiReviews, hopeless, userOf } from '../../../../src/gateway/admission/reviews.ts';
import type { KubeClient } from '../../../../src/kube/client/client.ts';
import { timestamp } from '../../../../src/kube/types/time.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const NOW = 1_800_000_000_000;
const jwt = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
const aud = ['copilot-gateway'];

describe('the API server need not be asked about a token', () => {
  it.each([
    ['for another audience', { aud: ['https://kubernetes.default.svc'] }, 'not for the audience copilot-gateway'],
    ['for another audience, as text', { aud: 'copilot-gateway-internal' }, 'not for the audience copilot-gateway'],
    ['for nobody', { aud: [] }, 'not for the audience copilot-gateway'],
    ['for something else than a text', { aud: { a: 1 } }, 'not for the audience copilot-gateway'],
    ['that has expired', { aud, exp: NOW / 1000 }, 'has expired'],
  ])('%s', (_, claims, problem) => {
    expect(hopeless(jwt(claims), NOW)?.problem).toContain(problem);
  });

  it.each([
    ['for the gateway', jwt({ aud, exp: NOW / 1000 + 1 })],
    ['for the gateway, as text', jwt({ aud: 'copilot-gateway' })],
    ['for the gateway and others', jwt({ aud: ['a', 'copilot-gateway'] })],
    ['that does not say', jwt({ sub: 'x' })],
    ['that is no JWT', 'opaque'],
    ['that only looks like one', 'no.such.token'],
    ['of claims that are no object', jwt(7)],
  ])('but must be about one %s', (_, token) => {
    expect(hopeless(token, NOW)).toBeUndefined();
  });

  it('and is not', async () => {
    const created: string[] = [];
    const create: KubeClient['create'] = ({ kind }, object) => {
      created.push(kind);
      return Promise.resolve(object);
    };
    const reviews = new ApiReviews({ client: { create }, clock: new FakeClock(NOW) });
    const problem = { problem: expect.any(String) };
    expect(await reviews.authenticate(jwt({ aud: 'other' }), 'Newcomer')).toEqual(problem);
    expect(created).toEqual([]);
    expect(await reviews.authenticate(jwt({ aud }), 'Newcomer')).toEqual(problem);
    expect(created).toEqual(['TokenReview']);
  });
});

describe('a Kubernetes token that the API server accepts', () => {
  it.each([
    ['its own end', `${NOW / 1000}`, timestamp(NOW)],
    ['no end beyond the calendar', '1e18', '9999-12-31T23:59:59Z'],
    ['no end beyond all numbers', '1e999', '9999-12-31T23:59:59Z'],
  ])('has %s', (_, exp, expected) => {
    const token = `e30.${Buffer.from(`{"exp":${exp}}`).toString('base64url')}.c2ln`;
    const user = userOf({ status: { authenticated: true, audiences: aud, user: { username: 'bot' } } }, token);
    expect('name' in user && timestamp(user.expiresAt ?? 0)).toBe(expected);
  });
});
