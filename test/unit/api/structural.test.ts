import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { withRules } from '../../../src/api/fields.ts';
import { structuralSchema, type StructuralSchema } from '../../../src/api/structural.ts';
import { tenantSpec } from '../../../src/api/tenant.ts';
import { tenantStatus } from '../../../src/api/tenant-status.ts';
import { structuralProblems } from '../../support/structural-checker.ts';

describe('the schema of CopilotTenant', () => {
  it.each([
    ['spec', tenantSpec],
    ['status', tenantStatus],
  ])('is structural, described and bounded throughout its %s', (name, schema) => {
    expect(structuralProblems(structuralSchema(schema), name)).toEqual([]);
  });
});

describe('the checker of structural schemas', () => {
  const planted: [string, StructuralSchema][] = [
    ['x has no type', { description: 'a field' }],
    ['x has "oneOf", which no structural schema takes', { type: 'object', oneOf: [] } as StructuralSchema],
    ['x is a list of nothing', { type: 'array', maxItems: 1, 'x-kubernetes-list-type': 'atomic' }],
    [
      'x does not say how its items are merged (x-kubernetes-list-type)',
      { type: 'array', maxItems: 1, items: { type: 'boolean' } },
    ],
    [
      'x is keyed by "name", which is neither required nor defaulted',
      {
        type: 'array',
        maxItems: 1,
        items: { type: 'object', properties: { name: { type: 'string', maxLength: 9, description: 'a name' } } },
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      },
    ],
    [
      'x has a look-around in its pattern, which RE2 does not take',
      { type: 'string', maxLength: 9, pattern: '(?!a)b' },
    ],
    ['x has no maxLength', { type: 'string' }],
    [
      'x has both properties and additionalProperties',
      { type: 'object', maxProperties: 1, properties: {}, additionalProperties: { type: 'boolean' } },
    ],
    ['x.a has no description', { type: 'object', properties: { a: { type: 'boolean' } } }],
    ['x is int-or-string in another form than the one', { 'x-kubernetes-int-or-string': true, anyOf: [] }],
  ];

  it.each(planted)('finds: %s', (problem, schema) => {
    expect(structuralProblems(schema, 'x')).toEqual([problem]);
  });
});

describe('structuralSchema', () => {
  it('keeps CEL rules and leaves fields with a default optional', () => {
    const rule = { rule: 'self > 1', message: 'must be above one' };
    const schema = z.object({ count: withRules(z.int().min(0).max(9), rule).default(2) });
    expect(structuralSchema(schema)).toEqual({
      type: 'object',
      properties: {
        count: {
          type: 'integer',
          format: 'int32',
          default: 2,
          minimum: 0,
          maximum: 9,
          'x-kubernetes-validations': [rule],
        },
      },
    });
  });

  it('has the format of integers by their bounds', () => {
    expect(structuralSchema(z.int().min(0))).toEqual({ type: 'integer', format: 'int64', minimum: 0 });
  });

  it('refuses what JSON Schema can’t express', () => {
    expect(() => structuralSchema(z.object({ when: z.date() }))).toThrow(/Date/);
  });
});
