import { afterEach, describe, expect, it } from '@jest/globals';
import { toolPath } from '../../support/tools.ts';

describe('kubectl and helm of the tests', () => {
  const before = process.env['CLUSTER'];
  afterEach(() => {
    if (before === undefined) delete process.env['CLUSTER'];
    else process.env['CLUSTER'] = before;
  });

  it.each(['kubectl', 'helm'] as const)(
    '%s is the one in the PATH with CLUSTER=current, whatever the checkout has',
    (name) => {
      process.env['CLUSTER'] = 'current';
      expect(toolPath(name)).toBe(name);
    },
  );
});
