// The table of methods against the schema of the CLI that the images are built from.
import { expect, it } from '@jest/globals';
import { METHOD_LINES } from '../../../src/gateway/methods/lines.ts';
import { UNDOCUMENTED_METHODS } from '../../../src/gateway/methods/table/undocumented.ts';
import { cliSchema, methodsOf } from '../../support/method-schema.ts';

it('has a line for each method of the schema that clients call, and no other but those in no schema', () => {
  const undocumented = new Set(UNDOCUMENTED_METHODS.map(([name]) => name));
  const names = METHOD_LINES.map(([name]) => name).filter((name) => !undocumented.has(name));
  expect(names.toSorted()).toEqual(methodsOf(cliSchema(), 'client'));
});

it('calls undocumented only what the schema does not have', () => {
  const schema = methodsOf(cliSchema(), 'client');
  expect(UNDOCUMENTED_METHODS.filter(([name]) => schema.includes(name))).toEqual([]);
});
