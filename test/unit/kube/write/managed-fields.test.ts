import { describe, expect, it } from '@jest/globals';
import { moveToApply } from '../../../../src/kube/write/managed-fields.ts';
import type { ManagedFieldsEntry } from '../../../../src/kube/types/types.ts';

function entry(manager: string, operation: 'Apply' | 'Update', fieldsV1: Record<string, unknown>): ManagedFieldsEntry {
  return { manager, operation, apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1 };
}

describe('moving fields from Update to Apply', () => {
  const theirs = entry('kubectl-edit', 'Update', { 'f:data': { 'f:theirs': {} } });

  it('turns our Update entry into an Apply entry and keeps those of others', () => {
    const own = entry('us', 'Update', { 'f:data': { 'f:key': {} } });
    expect(moveToApply([own, theirs], 'us')).toEqual([theirs, { ...own, operation: 'Apply' }]);
  });

  it('merges the fields if there is an Apply entry already', () => {
    const created = entry('us', 'Update', { 'f:data': { '.': {}, 'f:one': {} }, 'f:metadata': { 'f:labels': {} } });
    const applied = entry('us', 'Apply', { 'f:data': { 'f:two': {} } });
    const [, merged] = moveToApply([theirs, created, applied], 'us') ?? [];
    expect(merged?.fieldsV1).toEqual({
      'f:data': { '.': {}, 'f:one': {}, 'f:two': {} },
      'f:metadata': { 'f:labels': {} },
    });
  });

  it('does nothing without an Update entry of ours; one of a subresource does not count', () => {
    const status = { ...entry('us', 'Update', {}), subresource: 'status' };
    expect(moveToApply([theirs, status, entry('us', 'Apply', {})], 'us')).toBeUndefined();
    expect(moveToApply(undefined, 'us')).toBeUndefined();
  });
});
