/** The command `crds`: prints the CustomResourceDefinitions, for `kubectl apply -f -`. */
import { stringify } from 'yaml';
import { crds } from '../../api/crd.ts';

export function printCrds(): number {
  const documents = crds().map((crd) => stringify(crd, { lineWidth: 120, aliasDuplicateObjects: false }));
  process.stdout.write(documents.join('---\n'));
  return 0;
}
