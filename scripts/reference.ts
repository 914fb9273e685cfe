/** Writes docs/api.md: the API reference, from the CRDs' schemas and the comments on the constants. */
import type { Crd } from '../src/api/crd.ts';
import type { StructuralSchema } from '../src/api/structural.ts';

interface Documented {
  name: string;
  value: string;
  doc: string;
}

/**
 * The members of `export const <object> = { ... } as const` with the comment above each, by two regular expressions. A member
 * without a comment is an error.
 */
export function documentedMembers(source: string, object: string): { doc: string; members: Documented[] } {
  const found = new RegExp(
    `/\\*\\*((?:(?!\\*/).)*)\\*/\\s*export const ${object} = \\{\\n(.*?)\\n\\} as const;`,
    's',
  ).exec(source);
  if (!found) throw new Error(`no documented \`export const ${object} = {...} as const\` in the source`);
  const [, objectDoc = '', body = ''] = found;
  const member = /(?:\/\*\*((?:(?!\*\/).)*)\*\/\s*)?^ {2}(\w+): ([^\n]+),$/gms;
  const members = [...body.matchAll(member)].map(([, doc, name = '', value = '']) => {
    if (doc === undefined) throw new Error(`${object}.${name} has no comment: say what it means and what to do`);
    return { name, value, doc: prose(doc) };
  });
  return { doc: prose(objectDoc), members };
}

/** A comment as one line of Markdown. */
function prose(comment: string): string {
  return comment
    .replaceAll(/^\s*\* ?/gm, ' ')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\{@link (\w+)\.(\w+)\}/g, '`$2`')
    .trim();
}

/** Text in a table; between backquotes `<` needs no escape. */
const cell = (text: string) =>
  text
    .split('`')
    .map((part, i) => (i % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`')
    .replaceAll('|', '\\|');

function typeOf(schema: StructuralSchema): string {
  if (schema['x-kubernetes-int-or-string']) return 'quantity';
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`;
  if (schema.enum) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  return schema.format === 'date-time' ? 'time' : (schema.type ?? 'any');
}

function bounds(schema: StructuralSchema): string {
  const between = (min: number | undefined, max: number | undefined) =>
    min !== undefined && max !== undefined ? `${min} to ${max}` : max !== undefined ? `at most ${max}` : '';
  const numbers = between(schema.minimum, schema.maximum);
  const items = schema.maxItems === undefined ? '' : `at most ${schema.maxItems}`;
  return numbers || items;
}

/** Types of Kubernetes, which its own reference describes. */
const KUBERNETES_SHAPES: Record<string, string> = {
  affinity: 'core/v1 Affinity',
  tolerations: 'list of core/v1 Toleration',
  podSelector: 'LabelSelector',
  namespaceSelector: 'LabelSelector',
};

interface Row {
  path: string;
  schema: StructuralSchema;
  required: boolean;
}

function* rows(schema: StructuralSchema, prefix: string): Generator<Row> {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const path = `${prefix}${name}`;
    yield { path, schema: property, required: schema.required?.includes(name) ?? false };
    if (name in KUBERNETES_SHAPES) continue;
    if (property.type === 'array' && property.items) yield* rows(property.items, `${path}[].`);
    else yield* rows(property, `${path}.`);
  }
}

function defaultOf({ schema, required }: Row): string {
  if (required) return '**required**';
  if (schema.default === undefined || (schema.type === 'object' && schema.properties?.['requests'] === undefined))
    return '';
  return `\`${typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default)}\``;
}

function table(schema: StructuralSchema, prefix: string): string {
  const lines = [...rows(schema, prefix)].map((row) => {
    const last = row.path.slice(row.path.lastIndexOf('.') + 1);
    const type = KUBERNETES_SHAPES[last] ?? typeOf(row.schema);
    const limits = bounds(row.schema);
    const kind = limits ? `${type}, ${limits}` : type;
    return `| \`${row.path}\` | ${cell(kind)} | ${cell(defaultOf(row))} | ${cell(row.schema.description ?? '')} |`;
  });
  return ['| Field | Type | Default | Meaning |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

/** Messages of all CEL rules, in the order of the fields. */
function* ruleMessages(schema: StructuralSchema): Generator<string> {
  for (const { message } of schema['x-kubernetes-validations'] ?? []) yield message;
  const inner = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  for (const child of inner) if (child) yield* ruleMessages(child);
}

function constants(source: string, object: string, heading: string, value: (member: Documented) => string): string {
  const { doc, members } = documentedMembers(source, object);
  const lines = members.map((member) => `| ${value(member)} | ${cell(member.doc)} |`);
  return `### ${heading}\n\n${doc}\n\n| | Meaning |\n| --- | --- |\n${lines.join('\n')}\n`;
}

export interface ReferenceSources {
  crds: readonly Crd[];
  /** Text of src/api/conditions.ts. */
  conditions: string;
  /** Text of src/api/session-conditions.ts. */
  sessionConditions: string;
  /** Text of src/api/names.ts. */
  names: string;
  apiVersion: string;
  /** Prefix of the product's own labels. */
  group: string;
}

const byName = ({ name }: Documented) => `\`${name}\``;

/** Types and reasons of a kind's conditions; the names of its constants start with `prefix`. */
function conditionTables(source: string, prefix: string, reasons: readonly string[]): string {
  return [
    constants(source, `${prefix}ConditionType`, 'Condition types', byName),
    ...reasons.map((of) => constants(source, `${prefix}${of}Reason`, `Reasons of \`${of}\``, byName)),
  ].join('\n');
}

function kindReference(crd: Crd, conditions: string, apiVersion: string): string {
  const { kind, shortNames, categories } = crd.spec.names;
  const [version] = crd.spec.versions;
  if (!version) throw new Error(`the CRD of ${kind} has no version`);
  const { openAPIV3Schema: schema } = version.schema;
  const { spec = {}, status = {} } = schema.properties ?? {};
  return `## ${kind}

\`apiVersion: ${apiVersion}\`, \`kind: ${kind}\`, namespaced, short name \`${shortNames[0]}\`, category \`${categories[0]}\`.

${schema.description ?? ''}

The same text is in \`kubectl explain ${shortNames[0]}.spec\`.

### Spec of ${kind}

${spec.description ?? ''}

${table(spec, '')}

### Rules of ${kind}

The API server rejects an object that violates one of these rules, with the field and this message:

${[...new Set(ruleMessages(schema))].map((message) => `- ${cell(message)}`).join('\n')}

### Status of ${kind}

${status.description ?? ''}

${table(status, '')}

### Columns of kubectl get ${shortNames[0]}

| Column | Meaning |
| --- | --- |
${version.additionalPrinterColumns.map((c) => `| ${c.name.toUpperCase()}${c.priority ? ' (`-o wide`)' : ''} | ${cell(c.description)} |`).join('\n')}

${conditions}`;
}

/** Condition types of a tenant that have their own reasons, in the order of the page. */
const TENANT_REASONS = [
  'Ready',
  'Reconciling',
  'Stalled',
  'Healthy',
  'ModelConfigured',
  'CleanupHealthy',
  'StoragePressure',
];
const SESSION_REASONS = ['Ready', 'Reconciling', 'Stalled'];

export function referenceMarkdown(sources: ReferenceSources): string {
  const { crds, conditions, sessionConditions, names, apiVersion, group } = sources;
  const byValue = ({ value }: Documented) => `\`${value.replaceAll(/^[`']|[`']$/g, '').replace('${GROUP}', group)}\``;
  const tables: Record<string, string> = {
    CopilotTenant: conditionTables(conditions, '', TENANT_REASONS),
    CopilotSession: `${constants(sessionConditions, 'SessionPhase', 'Phases', byName)}
${conditionTables(sessionConditions, 'Session', SESSION_REASONS)}`,
  };
  return `<!-- Generated by \`make generate\` from src/api. Edit there. -->

# API reference

Values of conditions, reasons and phases are never renamed: alerts and scripts may rely on them.

${crds.map((crd) => kindReference(crd, tables[crd.spec.names.kind] ?? '', apiVersion)).join('\n')}
## Names

${[constants(names, 'Label', 'Labels', byValue), constants(names, 'Annotation', 'Annotations', byValue)].join('\n')}`;
}
