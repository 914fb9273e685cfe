/** Decides whether a tenant may refer to a Secret, where the operator requires a label on it (`--require-secret-label`). */
import type { Secret } from '../../kube/types/builtins.ts';
import type { RequiredLabel } from '../model.ts';

/**
 * Why not; undefined: it may. Ask before anything of its data is looked up: a message must not reveal the keys of a Secret that
 * tenants may not refer to.
 */
export function missingLabel({ metadata }: Secret, required: RequiredLabel | undefined): string | undefined {
  if (required === undefined || hasLabel(metadata.labels, required)) return undefined;
  const { key, value } = required;
  return (
    `Secret ${metadata.name} does not have the label ${key}${value === undefined ? '' : `=${value}`}, which the operator requires (--require-secret-label). ` +
    `To allow tenants to use it, run kubectl label secret --overwrite ${metadata.name} ${key}=${value ?? 'true'}.`
  );
}

function hasLabel(labels: Record<string, string> | undefined, { key, value }: RequiredLabel): boolean {
  const found = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
  return value === undefined ? found !== undefined : found === value;
}
