import { describe, expect, it } from '@jest/globals';
import { decideOwnership, type OwnershipFacts } from '../../../../src/gateway/ownership/decide.ts';

const record = (owner: string | undefined, ...participants: string[]) => ({ owner, participants });
const decide = (facts: Partial<OwnershipFacts>) =>
  decideOwnership({ user: 'alice', exists: true, owner: undefined, label: undefined, record: undefined, ...facts });

describe('a session', () => {
  it.each<[string, Partial<OwnershipFacts>, string, string]>([
    ['with the stamp of the user', { owner: 'alice' }, 'Own', 'Owner'],
    [
      'with the stamp of the user, and a CopilotSession of somebody else',
      { owner: 'alice', record: record('bob') },
      'Own',
      'Owner',
    ],
    ['with the stamp of somebody else', { owner: 'bob' }, 'Other', 'AnotherOwner'],
    [
      'of which the user is a participant',
      { owner: 'bob', record: record('bob', 'carol', 'alice') },
      'Own',
      'Participant',
    ],
    [
      'of which somebody else is a participant',
      { owner: 'bob', record: record('bob', 'carol') },
      'Other',
      'AnotherOwner',
    ],
    [
      'with a CopilotSession that the owner has not made',
      { owner: 'bob', record: record('alice', 'alice') },
      'Other',
      'AnotherOwner',
    ],
    [
      'with a CopilotSession without owner',
      { owner: 'bob', record: record(undefined, 'alice') },
      'Other',
      'AnotherOwner',
    ],
    ['without a stamp', {}, 'Other', 'Unstamped'],
    [
      'without a stamp, of which label and CopilotSession name the user',
      { label: 'alice', record: record('alice') },
      'Own',
      'Adopted',
    ],
    ['without a stamp, of which the label names the user', { label: 'alice' }, 'Other', 'Unstamped'],
    [
      'without a stamp, of which label and CopilotSession differ',
      { label: 'bob', record: record('alice') },
      'Other',
      'Unstamped',
    ],
    [
      'with the stamp of somebody else, though the label names the user',
      { owner: 'bob', label: 'alice', record: record('alice') },
      'Other',
      'AnotherOwner',
    ],
    ['without a stamp, and a CopilotSession of the user', { record: record('alice') }, 'Other', 'Unstamped'],
    ['that does not exist', { exists: false }, 'Free', 'New'],
    ['that does not exist, reserved for the user', { exists: false, record: record('alice') }, 'Free', 'New'],
    ['that does not exist, reserved for nobody', { exists: false, record: record(undefined) }, 'Free', 'New'],
    ['that does not exist, reserved for somebody else', { exists: false, record: record('bob') }, 'Other', 'Reserved'],
    [
      'that does not exist, of which the user will be a participant',
      { exists: false, record: record('bob', 'alice') },
      'Other',
      'Reserved',
    ],
  ])('%s', (_, facts, verdict, reason) => {
    expect(decide(facts)).toMatchObject({ verdict, reason });
  });

  it('has a message for each decision', () => {
    expect(decide({ owner: 'bob' }).message).toBe('Another user has made the session.');
  });
});
