import { describe, expect, it } from '@jest/globals';
import {
  type RevisionDecision,
  type RevisionInput,
  templateRevision,
} from '../../../../src/tenant/decisions/template-revision.ts';

const UNCHANGED: RevisionInput = { recorded: 1, current: 2, changed: false, restarts: false, paused: false };

describe('the revision of a server’s pod template', () => {
  it.each([
    ['keeps the one it was started with', {}, 1, 'Recorded'],
    ['is the current one if it starts', { recorded: undefined }, 2, 'Starting'],
    ['is the current one if the tenant has changed', { changed: true }, 2, 'TenantChanged'],
    ['is the current one if it is restarted', { restarts: true }, 2, 'Restarting'],
    ['is the current one if it has that', { recorded: 2 }, 2, 'Current'],
    [
      'stays while the roll-out is paused, also if the tenant has changed',
      { changed: true, paused: true },
      1,
      'RolloutPaused',
    ],
    ['stays while it is paused, also if it is restarted', { restarts: true, paused: true }, 1, 'RolloutPaused'],
    ['is the current one while it is paused, if it starts', { recorded: undefined, paused: true }, 2, 'Starting'],
    [
      'is the current one while it is paused, if the old one is unknown',
      { recorded: 3, changed: true, paused: true },
      2,
      'TenantChanged',
    ],
    ['stays after a downgrade of the operator', { recorded: 3 }, 3, 'RecordedUnknown'],
    [
      'is the current one after a downgrade, once the tenant has changed',
      { recorded: 3, changed: true },
      2,
      'TenantChanged',
    ],
    ['is the current one after a downgrade, once it is restarted', { recorded: 3, restarts: true }, 2, 'Restarting'],
  ] satisfies [string, Partial<RevisionInput>, number, RevisionDecision['reason']][])(
    '%s',
    (_, input, revision, reason) => {
      expect(templateRevision({ ...UNCHANGED, ...input })).toMatchObject({ revision, reason });
    },
  );

  it('says which revision it keeps, and which is current', () => {
    expect(templateRevision(UNCHANGED).message).toBe('It keeps revision 1 until it is replaced; the current one is 2.');
  });
});
