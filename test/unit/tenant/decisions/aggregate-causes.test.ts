import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { StalledReason } from '../../../../src/api/conditions.ts';
import { aggregateCauses } from '../../../../src/tenant/decisions/aggregate-causes.ts';

const cause = (reason: StalledReason, message = `It is ${reason}.`) => ({ reason, message });
const reasons = Object.values(StalledReason).filter((reason) => reason !== StalledReason.NotStalled);

describe('the aggregate of several causes', () => {
  it('is none when there is none', () => {
    expect(aggregateCauses([])).toBeUndefined();
  });

  it.each([
    ['NamespaceTerminating', 'Forbidden'],
    ['Forbidden', 'QuotaExceeded'],
    ['ModelNotConfigured', 'ImagePullFailed'],
    ['DataLost', 'ContainerCrashed'],
    ['QuotaExceeded', 'Unschedulable'],
    ['StorageClassNotFound', 'VolumePending'],
    ['VolumePending', 'Unschedulable'],
    ['ImagePullFailed', 'ContainerCrashed'],
    ['ContainerCrashed', 'VolumeNotExpandable'],
  ] as const)('is %s rather than %s', (first, second) => {
    expect(aggregateCauses([cause(second), cause(first)])).toEqual({
      reason: first,
      message: `It is ${first}. It is ${second}.`,
    });
  });

  it('has a common message once, and at most three messages', () => {
    const aggregate = aggregateCauses([
      cause('Forbidden', 'One.'),
      cause('Forbidden', 'One.'),
      ...['Two.', 'Three.', 'Four.', 'Five.'].map((message) => cause('Forbidden', message)),
    ]);
    expect(aggregate?.message).toBe('One. Two. Three. And 2 more.');
  });

  it('has the same reason for any order of the causes', () => {
    const some = fc.subarray(reasons, { minLength: 1 });
    const twice = some.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    );
    fc.assert(
      fc.property(twice, ([one, other]) => {
        expect(aggregateCauses(one.map((reason) => cause(reason)))).toEqual(
          aggregateCauses(other.map((reason) => cause(reason))),
        );
      }),
    );
  });

  it.each(reasons)('%s has a priority: otherwise it would come before all others', (reason) => {
    expect(aggregateCauses([cause(reason), cause('NamespaceTerminating')])?.reason).toBe('NamespaceTerminating');
  });
});
