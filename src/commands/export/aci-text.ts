/** The text of an exported container group: its YAML, and above it what to do with it. */
import { stringify } from 'yaml';
import type { ExportedGroup } from './aci-group.ts';
import type { Reference } from './references.ts';

/**
 * Every value is in double quotes: what is filled in for `${...}` is then a string, whatever it looks like.
 */
export function aciText({ group, references }: ExportedGroup, tenant: string): string {
  const names = references.map(({ name }) => `$${name}`).join(' ');
  const lines = [
    `Azure container group for server ${group.name} of CopilotTenant ${tenant}. It was never run on Azure: try it first.`,
    'The operator and its gateway know nothing of it. Do not run it while a server of the tenant writes the same sessions.',
    '',
    'Set the variables below, then:',
    `  envsubst '${names}' < group.yaml > filled.yaml`,
    '  az container create --resource-group GROUP --file filled.yaml && shred -u filled.yaml',
    'A value with a double quote, a backslash or a line break needs these escaped as in JSON.',
    '',
    ...references.flatMap(variableLines),
  ];
  const header = lines.map((line) => (line === '' ? '#\n' : `# ${line}\n`)).join('');
  return `${header}${stringify(group, { lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN' })}`;
}

const variableLines = ({ name, what, command }: Reference): string[] => [
  `${name}: ${what}`,
  ...(command === undefined ? [] : [`  export ${name}="$(${command})"`]),
];
