import { describe, expect, it } from '@jest/globals';
import { moveToApply, overwriteOf, ownedFields } from '../../../../src/kube/write/managed-fields.ts';
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

describe('the fields that we still own', () => {
  const own = entry('us', 'Update', {
    'f:metadata': {
      'f:labels': { '.': {}, 'f:example.com/app': {} },
      'f:annotations': {},
      'f:ownerReferences': { '.': {}, 'k:{"uid":"1"}': {} },
      'f:finalizers': { 'v:"example.com/slow"': {} },
    },
    'f:spec': {
      'f:selector': {},
      'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {} } },
      'f:containers': { 'k:{"name":"main"}': { '.': {}, 'f:image': {}, 'f:command': {} } },
    },
  });
  const isOwned = ownedFields([own, { ...entry('us', 'Update', { 'f:status': {} }), subresource: 'status' }], 'us');

  it.each([
    ['a field of a list item', 'spec.containers[name=main].image', true],
    ['an atomic list', 'spec.containers[name=main].command', true],
    ['an item of an atomic list', 'spec.containers[name=main].command[0]', true],
    ['a key of an atomic map', 'spec.selector.matchLabels.app', true],
    ['an item with two keys', 'spec.ports[port=80,protocol=TCP]', true],
    ['a key with dots', 'metadata.labels.example.com/app', true],
    ['an owner reference', 'metadata.ownerReferences[uid=1]', true],
    ['a member of a set', 'metadata.finalizers[example.com/slow]', true],
    ['a field of another client', 'spec.containers[name=main].args', false],
    ['a key of another client in a map that we have created', 'metadata.annotations.note', false],
    ['a field whose name only begins alike', 'spec.selectors', false],
    ['an item of another client', 'spec.containers[name=side].image', false],
    ['a field of a subresource', 'status', false],
  ])('%s: %s', (_, path, owned) => {
    expect(isOwned(path)).toBe(owned);
  });

  it('are none without managed fields', () => {
    expect(ownedFields(undefined, 'us')('spec')).toBe(false);
  });
});

describe('the other writers of fields', () => {
  const replicas = { 'f:spec': { 'f:replicas': {} } };
  const scaled = {
    ...entry('kubectl', 'Update', replicas),
    subresource: 'scale',
    time: '2026-01-02T03:04:05Z',
  };
  const edited = entry('kubectl-edit', 'Update', { 'f:metadata': { 'f:labels': { 'f:app': {} } } });
  const own = entry('us', 'Apply', { 'f:spec': { 'f:replicas': {}, 'f:paused': {} } });
  const fields = [own, scaled, edited];

  it('are those that own one of them, with these fields, the subresource and the time', () => {
    expect(overwriteOf(fields, 'us', ['spec.replicas', 'spec.paused'])).toEqual({
      fields: ['spec.replicas'],
      writers: [{ manager: 'kubectl', operation: 'Update', subresource: 'scale', time: '2026-01-02T03:04:05Z' }],
    });
    expect(overwriteOf(fields, 'us', ['metadata.labels.app', 'spec.replicas'])).toMatchObject({
      fields: ['metadata.labels.app', 'spec.replicas'],
      writers: [{ manager: 'kubectl' }, { manager: 'kubectl-edit' }],
    });
  });

  it('include ourselves through a subresource, where we are another writer', () => {
    const through = { ...entry('us', 'Update', replicas), subresource: 'scale' };
    expect(overwriteOf([own, through], 'us', ['spec.replicas']).writers).toMatchObject([{ subresource: 'scale' }]);
  });

  it('are none where nobody else owns one, and without managed fields: the fields are all', () => {
    const paths = ['spec.paused', 'spec.selector'];
    expect(overwriteOf(fields, 'us', paths)).toEqual({ fields: paths, writers: [] });
    expect(overwriteOf(undefined, 'us', paths)).toEqual({ fields: paths, writers: [] });
  });
});
