/** The command `crds`: what `kubectl apply -f -` needs before the operator can run. */
import { stringify } from 'yaml';
import { copilotTenantCrd } from './api/crd.ts';

export function printCrds(): number {
  process.stdout.write(stringify(copilotTenantCrd(), { lineWidth: 120, aliasDuplicateObjects: false }));
  return 0;
}
