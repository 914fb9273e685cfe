import { describe, expect, it } from '@jest/globals';
import {
  type RevisionDecision,
  type RevisionInput,
  templateRevision,
} from '../../../../src/tenant/decisions/template-revision.ts';

const UNCHANGED: RevisionInput = { recorded: 1, current: 2, changed: false, restarts: false };

describe('the revision of a server’s pod template', () => {
  it.each([
    ['keeps the one it was started with', {}, 1, 'Recorded'],
    ['is the current one if it starts', { recorded: undefined }, 2, 'Starting'],
    ['is the current one if the tenant has changed', { changed: true }, 2, 'TenantChanged'],
    ['is the current one if it is restarted', { restarts: true }, 2, 'Restarting'],
    ['is the current one if it has that', { recorded: 2 }, 2, 'Current'],
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
    expect(templateRevision(UNCHANGED).message).toBe(
      'It keeps revision 1 until it is restarted; the current one is 2.',
    );
  });
});
