// The tables of methods and parameters against the schema of the CLI that the images are built from, and against its SDK.
import { expect, it } from '@jest/globals';
import { METHOD_LINES } from '../../../src/gateway/methods/lines.ts';
import { UNDOCUMENTED_METHODS } from '../../../src/gateway/methods/table/undocumented.ts';
import { PARAM_TABLES, linesOf } from '../../../src/gateway/methods/param-lines.ts';
import { cliSchema, cliSdkSource, methodsOf, paramsOf, sentParams } from '../../support/method-schema.ts';

/** `session.create` and `session.resume` stand in no schema, but their options do, for `sessions.open`. */
const OPTIONS = 'SessionOpenOptions';
const CREATES = ['session.create', 'session.resume'];

/** Top-level parameters that have a line, by method. */
const params = new Map(
  PARAM_TABLES.flatMap((table) => {
    const names = [...new Set(linesOf(table).map(([path]) => path.split('.', 1)[0] ?? ''))];
    return table.methods.map((method) => [method, names] as const);
  }),
);

it('has a line for each method of the schema that clients call, and no other but those in no schema', () => {
  const undocumented = new Set(UNDOCUMENTED_METHODS.map(([name]) => name));
  const names = METHOD_LINES.map(([name]) => name).filter((name) => !undocumented.has(name));
  expect(names.toSorted()).toEqual(methodsOf(cliSchema(), 'client'));
});

it('calls undocumented only what the schema does not have', () => {
  const schema = methodsOf(cliSchema(), 'client');
  expect(UNDOCUMENTED_METHODS.filter(([name]) => schema.includes(name))).toEqual([]);
});

it.each(CREATES)(
  'has a line for each parameter that the SDK of the CLI sends with %s, and for each option of a session',
  (method) => {
    const known = params.get(method) ?? [];
    const sent = sentParams(cliSdkSource(), method);
    expect(sent.length).toBeGreaterThan(80);
    const named = [...sent, ...paramsOf(cliSchema(), method, [OPTIONS])];
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  },
);

it.each([...params.keys()].filter((method) => !UNDOCUMENTED_METHODS.some(([name]) => name === method)))(
  'has a line for each parameter of %s in the schema',
  (method) => {
    const known = params.get(method) ?? [];
    const named = paramsOf(cliSchema(), method);
    expect(named).toContain(method === 'sessions.open' ? 'options' : 'sessionId');
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  },
);
