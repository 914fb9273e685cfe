/** The command `crds`: what `kubectl apply -f -` needs before the operator can run. */
import { stringify } from 'yaml';
import { crds } from '../../api/crd.ts';

export function printCrds(): number {
  const documents = crds().map((crd) => stringify(crd, { lineWidth: 120, aliasDuplicateObjects: false }));
  process.stdout.write(documents.join('---\n'));
  return 0;
}
