import { describe, expect, it } from '@jest/globals';
import { copilotSessionCrd, copilotTenantCrd, type Crd } from '../../../src/api/crd.ts';
import type { StructuralSchema } from '../../../src/api/structural.ts';

function versionOf(crd: Crd) {
  const [version] = crd.spec.versions;
  if (!version) throw new Error('the CRD has no version');
  return version;
}

/** Schema of the field of `crd` at a dotted path, or undefined. */
const field = (crd: Crd, path: string) =>
  path
    .split('.')
    .filter((name) => name !== '')
    .reduce<StructuralSchema | undefined>(
      (schema, name) => (schema?.items ?? schema)?.properties?.[name],
      versionOf(crd).schema.openAPIV3Schema,
    );

const columns = (crd: Crd, wide: boolean) =>
  versionOf(crd)
    .additionalPrinterColumns.filter((column) => (column.priority === 1) === wide)
    .map(({ name }) => name.toUpperCase());

function rules(schema: StructuralSchema): { message: string }[] {
  const inner = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  return [...(schema['x-kubernetes-validations'] ?? []), ...inner.flatMap((child) => (child ? rules(child) : []))];
}

/** Paths of the fields inside of list items that the API server would fill in. */
function defaultsInLists(schema: StructuralSchema, path = '', inList = false): string[] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
    defaultsInLists(child, `${path}.${name}`, inList),
  );
  const items = schema.items ? defaultsInLists(schema.items, `${path}[]`, true) : [];
  return [...(inList && schema.default !== undefined ? [path] : []), ...inner, ...items];
}

describe('the CRD of CopilotTenant', () => {
  const crd = copilotTenantCrd();

  it('has the paths of the scale subresource in its schema', () => {
    const { scale } = versionOf(crd).subresources;
    expect(field(crd, scale?.specReplicasPath ?? '')?.type).toBe('integer');
    expect(field(crd, scale?.statusReplicasPath ?? '')?.type).toBe('integer');
    expect(field(crd, scale?.labelSelectorPath ?? '')?.type).toBe('string');
  });

  it('has the columns of the design, and the rest with -o wide', () => {
    expect(columns(crd, false)).toEqual(['READY', 'SERVERS', 'SESSIONS', 'HEALTH', 'VERSION', 'AGE']);
    expect(columns(crd, true)).toEqual(['CLIENTS', 'ENDPOINT', 'HIBERNATED', 'MESSAGE']);
  });
});

describe('the CRD of CopilotSession', () => {
  it('has the columns that users act on, and the rest with -o wide', () => {
    const crd = copilotSessionCrd();
    expect(columns(crd, false)).toEqual(['TENANT', 'READY', 'PHASE', 'TURNS', 'LAST-ACTIVITY', 'AGE']);
    expect(columns(crd, true)).toEqual([
      'OWNER',
      'HOLDER',
      'SERVER',
      'BYTES',
      'INPUT-TOKENS',
      'OUTPUT-TOKENS',
      'EXPIRES',
      'MESSAGE',
    ]);
  });
});

describe.each([copilotTenantCrd(), copilotSessionCrd()])('the CRD $metadata.name', (crd) => {
  it('has the paths of its columns in its schema', () => {
    const ofObject = versionOf(crd).additionalPrinterColumns.filter(
      ({ jsonPath }) => !jsonPath.startsWith('.metadata'),
    );
    const unknown = ofObject.filter(({ jsonPath }) => !field(crd, jsonPath.replaceAll(/\[[^\]]*\]/g, '')));
    expect(ofObject.length).toBeGreaterThan(0);
    expect(unknown).toEqual([]);
  });

  // To a GitOps tool a list is one value: with something filled in it is another than the one in git, for ever.
  it('has no defaults inside of lists', () => {
    expect(defaultsInLists(versionOf(crd).schema.openAPIV3Schema)).toEqual([]);
  });

  it('names an existing field in the message of every rule', () => {
    const messages = rules(versionOf(crd).schema.openAPIV3Schema).map(({ message }) => message);
    const nameless = messages.filter((message) => {
      const [, path] = /^(?:a rule of )?((?:spec|metadata)\.[\w.]*\w)/.exec(message) ?? [];
      return !path || (path !== 'metadata.name' && !field(crd, path));
    });
    expect(messages.length).toBeGreaterThan(3);
    expect(nameless).toEqual([]);
  });
});
