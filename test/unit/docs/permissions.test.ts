import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { permissionsMarkdown } from '../../../scripts/permissions.ts';
import { GATEWAY_PERMISSIONS, REVIEW_PERMISSIONS } from '../../../src/commands/gateway/permissions.ts';
import {
  GATEWAY_OPERATOR_PERMISSIONS,
  GATEWAY_TENANT_PERMISSIONS,
  OPERATOR_PERMISSIONS,
  SESSION_END_PERMISSIONS,
  TENANT_PERMISSIONS,
} from '../../../src/commands/operator/permissions.ts';

const page = permissionsMarkdown();
const values = parse(
  readFileSync(join(import.meta.dirname, '../../../charts/copilot-operator/values.yaml'), 'utf8'),
) as Record<string, Record<string, unknown>>;
const narrowing = page.slice(page.indexOf('## How to narrow them'));
/** Keys of the chart's values that limit what the operator, or who uses it, may do. */
const limiting = [
  'watchNamespaces',
  'requireSecretLabel',
  ...Object.keys(values['rbac'] ?? {}).map((key) => `rbac.${key}`),
];

describe('the page about the permissions', () => {
  it('has a row for each right, with its verbs and why it is needed', () => {
    for (const { resource, subresource, verbs, why } of [
      ...TENANT_PERMISSIONS,
      ...SESSION_END_PERMISSIONS,
      ...OPERATOR_PERMISSIONS,
      ...GATEWAY_TENANT_PERMISSIONS,
      ...GATEWAY_OPERATOR_PERMISSIONS,
      ...GATEWAY_PERMISSIONS,
      ...REVIEW_PERMISSIONS,
    ]) {
      const name = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
      const group = resource.group === '' ? '' : ` (${resource.group})`;
      expect(page).toMatch(new RegExp(`\\| \`${name}${group.replace(/[().]/g, '\\$&')}\``));
      expect(page).toContain(`| ${verbs.join(', ')} | ${why} |`);
    }
  });

  it('says of every value of the chart that limits rights what it removes, and what that costs', () => {
    const rows = narrowing.split('\n').filter((line) => line.startsWith('| `'));
    const named = rows.map((row) => /^\| `([\w.]+)/.exec(row)?.[1] ?? row);
    expect(named.toSorted()).toEqual(limiting.toSorted());
    for (const row of rows) expect(row.split(' | ')).toHaveLength(3);
  });

  it('names no value that the chart does not have', () => {
    const found = [...narrowing.matchAll(/`([a-zA-Z]+(?:\.[a-zA-Z]+)?):/g)].map(([, key = '']) => key.split('.'));
    expect(found.length).toBeGreaterThan(0);
    for (const [first = '', second] of found) {
      expect(Object.keys(values)).toContain(first);
      if (second !== undefined) expect(Object.keys(values[first] ?? {})).toContain(second);
    }
  });

  it('says which rights own roles can leave out', () => {
    const optional = ['cronjobs', 'configmaps', 'jobs', 'events', 'persistentvolumeclaims'];
    const section = page.slice(page.indexOf('## What can be left out'), page.indexOf('## How to narrow them'));
    for (const resource of optional) expect(section).toContain(`\`${resource}\``);
  });
});
