/** The environment variables of a container, from Kubernetes to Azure Container Instances. */
import type { Container } from '../../resources/pod.ts';
import type { AciVariable } from './aci-model.ts';
import { printKey, type References } from './references.ts';

type EnvVar = NonNullable<Container['env']>[number];

/** A value, and whether a part of it comes from a Secret. */
interface Value {
  readonly text: string;
  readonly secure: boolean;
}

/**
 * Azure replaces no `$(NAME)` in values, so that is done here; and it has no references to Secrets, so those become `${...}` in a
 * `secureValue`, which Azure does not show again.
 */
export function aciEnvironment(env: readonly EnvVar[], namespace: string, references: References): AciVariable[] {
  const values = new Map<string, Value>();
  return env.map((variable) => {
    const value = valueOf(variable, values, namespace, references);
    values.set(variable.name, value);
    return { name: variable.name, ...(value.secure ? { secureValue: value.text } : { value: value.text }) };
  });
}

function valueOf(
  { name, value = '', valueFrom }: EnvVar,
  before: ReadonlyMap<string, Value>,
  namespace: string,
  references: References,
): Value {
  const secret = valueFrom?.secretKeyRef;
  const ref = secret ?? valueFrom?.configMapKeyRef;
  if (ref === undefined) return expanded(value, before);
  const kind = secret === undefined ? 'ConfigMap' : 'Secret';
  const keyRef = { kind, namespace, name: ref.name ?? '', key: ref.key } as const;
  const text = references.add({
    // Apart from the names of this command, which begin with ACI_.
    name: `${kind.toUpperCase()}_${name}`,
    what: `key ${ref.key} of ${kind} ${keyRef.name}`,
    command: printKey(keyRef),
  });
  return { text, secure: secret !== undefined };
}

/** As the kubelet does: `$(NAME)` is the value of a variable before it or stays, and `$$` is one dollar sign. */
function expanded(text: string, before: ReadonlyMap<string, Value>): Value {
  let secure = false;
  const result = text.replaceAll(/\$\$|\$\(([^)]*)\)/g, (found, name: string | undefined) => {
    if (name === undefined) return '$';
    const value = before.get(name);
    if (value === undefined) return found;
    secure ||= value.secure;
    return value.text;
  });
  return { text: result, secure };
}
