import { describe, expect, it } from '@jest/globals';
import * as conditions from '../../../src/api/conditions.ts';
import * as sessionConditions from '../../../src/api/session-conditions.ts';

describe('condition types and reasons', () => {
  const entries = Object.entries({ ...conditions, ...sessionConditions }).flatMap(([object, members]) =>
    Object.entries(members).map(([name, value]): [string, string, string] => [object, name, value]),
  );

  it.each(entries)('%s.%s is spelled in manifests as in code, as one word', (_object, name, value) => {
    expect(value).toBe(name);
    expect(value).toMatch(/^[A-Z][A-Za-z]+$/);
  });
});
