/** Converts zod schemas to the structural subset of OpenAPI v3 that a CustomResourceDefinition takes. */
import { z } from 'zod';
import type { CelRule } from './fields.ts';

/** A node of a structural schema; the keys that this project uses. */
export interface StructuralSchema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  description?: string;
  format?: string;
  default?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  pattern?: string;
  properties?: Record<string, StructuralSchema>;
  additionalProperties?: StructuralSchema;
  required?: string[];
  items?: StructuralSchema;
  anyOf?: StructuralSchema[];
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-type'?: 'map' | 'atomic' | 'set';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: CelRule[];
}

/** The order in which a field reads best: what it is, then what it may hold. */
const KEY_ORDER = [
  'description',
  'type',
  'format',
  'default',
  'enum',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'maxProperties',
  'items',
  'required',
  'properties',
  'additionalProperties',
];

/** Fixes the differences between what zod writes and what a CRD accepts, for each node. */
function adapt(node: StructuralSchema): void {
  if (node['x-kubernetes-int-or-string']) {
    // The only union that a structural schema knows, and only in exactly this form.
    node.anyOf = [{ type: 'integer' }, { type: 'string' }];
  }
  if (node.type === 'integer') {
    const fitsInt32 = (node.minimum ?? -Infinity) >= -(2 ** 31) && (node.maximum ?? Infinity) < 2 ** 31;
    node.format = fitsInt32 ? 'int32' : 'int64';
    // zod bounds every integer by what a double holds, which says nothing in an API.
    if (node.minimum === Number.MIN_SAFE_INTEGER) delete node.minimum;
    if (node.maximum === Number.MAX_SAFE_INTEGER) delete node.maximum;
  }
  if (node.format === 'date-time') delete node.pattern;
}

function ordered(node: StructuralSchema): StructuralSchema {
  const rank = (key: string) => (KEY_ORDER.indexOf(key) + KEY_ORDER.length + 1) % (KEY_ORDER.length + 1);
  const entries = Object.entries(node).sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
  return Object.fromEntries(entries.map(([key, value]) => [key, orderedValue(key, value)]));
}

function orderedValue(key: string, value: unknown): unknown {
  if (key === 'items' || key === 'additionalProperties') return ordered(value as StructuralSchema);
  if (key !== 'properties') return value;
  const properties = Object.entries(value as Record<string, StructuralSchema>);
  return Object.fromEntries(properties.map(([name, property]) => [name, ordered(property)]));
}

/** @throws when the zod schema has something that JSON Schema can't express, such as a transform or a recursion. */
export function structuralSchema(schema: z.ZodType): StructuralSchema {
  const json = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    reused: 'inline',
    cycles: 'throw',
    unrepresentable: 'throw',
    override: ({ jsonSchema }) => adapt(jsonSchema as StructuralSchema),
  });
  return ordered(json as StructuralSchema);
}
