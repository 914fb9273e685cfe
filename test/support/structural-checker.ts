/**
 * What the API server demands of a CRD's schema (apiextensions' rules for structural schemas), and what this project
 * demands of itself on top: every field is described and bounded.
 */
import type { StructuralSchema } from '../../src/api/structural.ts';

const KNOWN_KEYS = new Set([
  'type',
  'description',
  'format',
  'default',
  'enum',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
  'pattern',
  'properties',
  'additionalProperties',
  'required',
  'items',
  'anyOf',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-validations',
]);

const INT_OR_STRING = JSON.stringify([{ type: 'integer' }, { type: 'string' }]);

function* shapeProblems(node: StructuralSchema): Generator<string> {
  for (const key of Object.keys(node)) if (!KNOWN_KEYS.has(key)) yield `has "${key}", which no structural schema takes`;
  if (node['x-kubernetes-int-or-string']) {
    if (JSON.stringify(node.anyOf) !== INT_OR_STRING || node.type)
      yield 'is int-or-string in another form than the one';
  } else {
    if (!node.type) yield 'has no type';
    if (node.anyOf) yield 'has anyOf without being int-or-string';
  }
  if (node.properties && node.additionalProperties) yield 'has both properties and additionalProperties';
  if (node.type === 'array' && !node.items) yield 'is a list of nothing';
  if (node.pattern && /\(\?[=!<]/.test(node.pattern)) yield 'has a look-around in its pattern, which RE2 does not take';
}

function* listProblems(node: StructuralSchema): Generator<string> {
  if (node.type !== 'array') return;
  const listType = node['x-kubernetes-list-type'];
  if (!listType) yield 'does not say how its items are merged (x-kubernetes-list-type)';
  if (listType !== 'map') return;
  const keys = node['x-kubernetes-list-map-keys'] ?? [];
  if (keys.length === 0) yield 'is a map by no key';
  for (const key of keys) {
    const property = node.items?.properties?.[key];
    if (!property) yield `is keyed by "${key}", which its items do not have`;
    else if (!node.items?.required?.includes(key) && property.default === undefined)
      yield `is keyed by "${key}", which is neither required nor defaulted`;
  }
}

function* boundProblems(node: StructuralSchema): Generator<string> {
  if (node.type === 'array' && node.maxItems === undefined) yield 'has no maxItems';
  if (node.additionalProperties && node.maxProperties === undefined) yield 'has no maxProperties';
  const bounded = node.enum || node.format === 'date-time' || node.maxLength !== undefined;
  if (node.type === 'string' && !bounded) yield 'has no maxLength';
}

/** Problems as sentences that begin with the path; none means that the schema is sound. */
export function structuralProblems(node: StructuralSchema, path: string): string[] {
  const own = [...shapeProblems(node), ...listProblems(node), ...boundProblems(node)];
  const inner = Object.entries(node.properties ?? {}).flatMap(([name, property]) => [
    ...(property.description ? [] : [`${path}.${name} has no description`]),
    ...structuralProblems(property, `${path}.${name}`),
  ]);
  return [
    ...own.map((problem) => `${path} ${problem}`),
    ...inner,
    ...(node.items ? structuralProblems(node.items, `${path}[]`) : []),
    ...(node.additionalProperties ? structuralProblems(node.additionalProperties, `${path}{}`) : []),
  ];
}
