import { describe, expect, it } from '@jest/globals';
import { labelInterval, missingLabels, ownerLabels } from '../../../../src/session/decisions/labels.ts';
import { sessionSpec } from '../../../../src/api/session.ts';
import { sessionFacts } from '../../../support/fake-sessions.ts';
import { sampleSession } from '../../../support/sessions.ts';

const session = sampleSession({ owner: 'ann', participants: ['bob', 'eve'] });
const all = {
  'copilot-operator.dev/tenant': 'acme',
  'copilot-operator.dev/session': 'alpha',
  'copilot-operator.dev/owner': 'ann',
  'copilot-operator.dev/participants': 'bob,eve',
};
const loaded = (labels?: Record<string, string>) => sessionFacts('alpha', { activity: 'Loaded', labels });

describe('the labels of a session', () => {
  it('name its tenant, resource, owner and participants', () => {
    expect(ownerLabels(session)).toEqual(all);
  });

  it.each<[string, Parameters<typeof missingLabels>[1], object | undefined]>([
    ['are all missing at first', loaded({}), all],
    ['are not missing when they are stored', loaded({ ...all, theirs: 'x' }), undefined],
    ['are not stored while the session is not loaded', sessionFacts('alpha', { labels: {} }), undefined],
    ['are not stored before those on the server were read', loaded(undefined), undefined],
    [
      'are stored where they differ',
      loaded({ ...all, 'copilot-operator.dev/participants': 'bob' }),
      { 'copilot-operator.dev/participants': 'bob,eve' },
    ],
  ])('%s', (_case, facts, expected) => {
    expect(missingLabels(session, facts)).toEqual(expected);
  });

  it('are not stored on data of another owner', () => {
    expect(missingLabels(session, loaded({ ...all, 'copilot-operator.dev/owner': 'alice' }))).toBeUndefined();
    expect(missingLabels(session, loaded({ 'copilot-operator.dev/owner': 'alice' }))).toBeUndefined();
    expect(missingLabels(session, loaded({ ...all, 'copilot-operator.dev/owner': '' }))).toEqual({
      'copilot-operator.dev/owner': 'ann',
    });
  });

  it('do not change data with an owner when the resource has none', () => {
    const unowned = sampleSession({ participants: ['mallory'] });
    expect(missingLabels(unowned, loaded(all))).toBeUndefined();
    expect(missingLabels(unowned, loaded({ 'copilot-operator.dev/owner': 'alice' }))).toBeUndefined();
    expect(missingLabels(unowned, loaded({}))).not.toHaveProperty(['copilot-operator.dev/owner']);
  });

  it('fit what a server accepts, whatever the API server accepts', () => {
    const participants = Array.from({ length: 100 }, (_, n) => `${n}`.padStart(256, 'x'));
    const accepted = (count: number) =>
      sessionSpec.safeParse({ tenantRef: { name: 'acme' }, participants: participants.slice(0, count) }).success;
    const most = participants.findLastIndex((_, index) => accepted(index + 1)) + 1;
    expect(most).toBeGreaterThanOrEqual(50);
    for (const value of Object.values(ownerLabels(sampleSession({ participants: participants.slice(0, most) })))) {
      expect(Buffer.byteLength(value)).toBeLessThan(16 * 1024);
    }
  });

  it('are tried less and less often while the server refuses them', () => {
    expect([0, 1, 2, 5, 6, 2000].map((refusals) => labelInterval(refusals) / 60_000)).toEqual([1, 2, 4, 32, 60, 60]);
  });

  it('have an empty value once the last participant is removed, and none before the first', () => {
    const alone = sampleSession({ owner: 'ann' });
    expect(missingLabels(alone, loaded(all))).toEqual({ 'copilot-operator.dev/participants': '' });
    const { 'copilot-operator.dev/participants': _, ...others } = all;
    expect(missingLabels(alone, loaded(others))).toBeUndefined();
  });
});
