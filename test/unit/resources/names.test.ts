import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { MAX_TENANT_NAME_LENGTH, MAX_SERVERS } from '../../../src/api/names.ts';
import { ChildName, childName, serverIndex, serverName, tenantOfServer } from '../../../src/resources/names.ts';

const tenantName = fc
  .stringMatching(/^[a-z]([-a-z0-9]*[a-z0-9])?$/)
  .filter((name) => name.length <= MAX_TENANT_NAME_LENGTH);
// Tenants that are named after children of other tenants could conflict.
const nastyName = fc
  .tuple(fc.constantFrom('a', 'a-0', 'a-token'), fc.array(fc.constantFrom('0', '10', ...Object.values(ChildName))))
  .map(([stem, rest]) => [stem, ...rest].join('-'));
const anyName = fc.oneof(tenantName, nastyName);

const children = (tenant: string): string[] => [
  ...Object.keys(ChildName).map((word) => childName(tenant, word as keyof typeof ChildName)),
  ...Array.from({ length: MAX_SERVERS }, (_, index) => serverName(tenant, index)),
];

describe('names of children', () => {
  it('two tenants of one namespace never share a child, whatever their names are', () => {
    fc.assert(
      fc.property(anyName, anyName, (one, other) => {
        fc.pre(one !== other);
        const taken = new Set(children(one));
        expect(children(other).filter((name) => taken.has(name))).toEqual([]);
      }),
    );
  });

  it('all children of one tenant differ, and fit a Service name and a label value', () => {
    fc.assert(
      fc.property(tenantName, (tenant) => {
        const names = children(tenant);
        expect(new Set(names).size).toBe(names.length);
        for (const name of names) expect(name.length).toBeLessThanOrEqual(63);
      }),
    );
  });

  it('a server name has its tenant and its index', () => {
    fc.assert(
      fc.property(anyName, fc.nat(MAX_SERVERS), (tenant, index) => {
        const name = serverName(tenant, index);
        expect(tenantOfServer(name)).toBe(tenant);
        expect(serverIndex(tenant, name)).toBe(index);
      }),
    );
  });

  it.each(['a-token', 'a-', 'a-00', 'a-01', 'a--1', 'b-0', 'a-0-0', 'a'])('%s is no server of tenant a', (name) => {
    expect(serverIndex('a', name)).toBeUndefined();
  });
});
