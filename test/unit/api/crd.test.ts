import { describe, expect, it } from '@jest/globals';
import { copilotTenantCrd } from '../../../src/api/crd.ts';
import type { StructuralSchema } from '../../../src/api/structural.ts';

const version = copilotTenantCrd().spec.versions[0];
if (!version) throw new Error('the CRD has no version');
const root = version.schema.openAPIV3Schema;

/** Schema of the field at a dotted path, or undefined. */
const field = (path: string) =>
  path
    .split('.')
    .filter((name) => name !== '')
    .reduce<StructuralSchema | undefined>((schema, name) => (schema?.items ?? schema)?.properties?.[name], root);

function rules(schema: StructuralSchema): { message: string }[] {
  const inner = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  return [...(schema['x-kubernetes-validations'] ?? []), ...inner.flatMap((child) => (child ? rules(child) : []))];
}

describe('the CRD of CopilotTenant', () => {
  it('scales by paths that its schema has', () => {
    const { specReplicasPath, statusReplicasPath, labelSelectorPath } = version.subresources.scale;
    expect(field(specReplicasPath)?.type).toBe('integer');
    expect(field(statusReplicasPath)?.type).toBe('integer');
    expect(field(labelSelectorPath)?.type).toBe('string');
  });

  it('prints columns by paths that its schema has', () => {
    const ofStatus = version.additionalPrinterColumns.filter(({ jsonPath }) => jsonPath.startsWith('.status'));
    const unknown = ofStatus.filter(({ jsonPath }) => !field(jsonPath.replaceAll(/\[[^\]]*\]/g, '')));
    expect(ofStatus.length).toBeGreaterThan(0);
    expect(unknown).toEqual([]);
  });

  it('shows by default what the design promises, and the rest with -o wide', () => {
    const columns = (wide: boolean) =>
      version.additionalPrinterColumns.filter((c) => (c.priority === 1) === wide).map((c) => c.name.toUpperCase());
    expect(columns(false)).toEqual(['READY', 'SERVERS', 'HEALTH', 'VERSION', 'AGE']);
    expect(columns(true)).toEqual(['ENDPOINT', 'MESSAGE']);
  });

  it('names an existing field in the message of every rule', () => {
    const messages = rules(root).map(({ message }) => message);
    const nameless = messages.filter((message) => {
      const [, path] = /^(?:a rule of )?((?:spec|metadata)\.[\w.]*\w)/.exec(message) ?? [];
      return !path || (path !== 'metadata.name' && !field(path));
    });
    expect(messages.length).toBeGreaterThan(10);
    expect(nameless).toEqual([]);
  });
});
