import { expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { withoutManagedFields } from '../../../../src/kube/client/slim-json.ts';

const parsed = (value: unknown): unknown => JSON.parse(withoutManagedFields(JSON.stringify(value)));

it('removes the managed fields of an object and nothing else, wherever they are among its metadata', () => {
  const keys = fc.constantFrom('name', 'f:spec', '"managedFields":[', 'a]b', 'k:{"name":"x"}', '\\');
  const values = fc.jsonValue();
  const managed = fc.array(fc.dictionary(keys, values));
  fc.assert(
    fc.property(
      fc.dictionary(keys, values),
      managed,
      fc.dictionary(keys, values),
      values,
      (before, fields, after, spec) => {
        const object = { kind: 'X', metadata: { ...before, managedFields: fields, ...after }, spec };
        const expected = { kind: 'X', metadata: { ...before, ...after }, spec };
        // Through JSON, which has no -0.
        expect(parsed(object)).toEqual(JSON.parse(JSON.stringify(expected)));
      },
    ),
  );
});

it('leaves an object without them as it is, also when a string looks like them', () => {
  const object = {
    metadata: { annotations: { last: '{"metadata":{"managedFields":[1,2]}}' } },
    data: { managedFields: 'x' },
  };
  expect(parsed(object)).toEqual(object);
});

it('leaves alone what is no whole JSON: its parser reports that', () => {
  const cut = '{"metadata":{"managedFields":[{"manager":"a';
  expect(withoutManagedFields(cut)).toBe(cut);
});
