import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { digest, quickDigest, withHash } from '../../../../src/kube/write/hash.ts';

describe('the hash of a manifest', () => {
  it('equals the one on existing objects: another would write every child of every tenant again', () => {
    expect(digest({ b: [1, { z: 'ü', a: true }, null], a: { d: '"', c: 0.5 }, absent: null })).toBe('ccb085b9dc476aa0');
  });

  it('does not depend on the order of fields, nor on fields that are absent', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (fields) => {
        const turned = Object.fromEntries(Object.entries(fields).toReversed());
        expect(digest({ ...turned, nothing: undefined })).toBe(digest({ ...fields, nothing: null }));
      }),
    );
  });

  it('is in an annotation beside the others, and the manifest is not modified', () => {
    const manifest = { apiVersion: 'v1', kind: 'Thing', metadata: { name: 'x', annotations: { mine: 'stays' } } };
    const { manifest: hashed, hash } = withHash(manifest, 'hash');
    expect(hashed.metadata.annotations).toEqual({ mine: 'stays', hash });
    expect(hash).toBe(digest(manifest));
    expect(manifest.metadata.annotations).toEqual({ mine: 'stays' });
  });

  it('has a quick variant that changes with every value, too', () => {
    const state = { spec: { replicas: 1, paused: false }, data: { a: 'x' } };
    expect(quickDigest(structuredClone(state))).toBe(quickDigest(state));
    for (const other of [
      { ...state, spec: { ...state.spec, replicas: 2 } },
      { ...state, data: { a: 'y' } },
      { ...state, data: { a: 'x', b: '' } },
    ]) {
      expect(quickDigest(other)).not.toBe(quickDigest(state));
    }
  });
});
