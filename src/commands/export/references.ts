/** What an exported manifest leaves open: values that its user fills in, such as those of Secrets, which are never printed. */

/** One value that is filled in for `${NAME}`. */
export interface Reference {
  /** The name in `${NAME}`, in capitals. */
  readonly name: string;
  /** What the value is, in a few words. */
  readonly what: string;
  /** The command that prints the value, where there is one. */
  readonly command?: string | undefined;
}

/** What was asked for cannot be printed. The message says what to do. */
export class NotExportedError extends Error {
  override readonly name = 'NotExportedError';
}

/** Collects the references of one manifest, each once. */
export class References {
  readonly #byName = new Map<string, Reference>();
  readonly #textOf: (name: string) => string;

  constructor(textOf = (name: string): string => `\${${name}}`) {
    this.#textOf = textOf;
  }

  /** The text that stands for the value in the manifest. */
  add(reference: Reference): string {
    this.#byName.set(reference.name, reference);
    return this.#textOf(reference.name);
  }

  /** By name. */
  all(): Reference[] {
    return [...this.#byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/**
 * Throws if a manifest, which was made without its references, has the name of one of them in the form that is filled in: who writes a spec would
 * be given what is none of theirs.
 */
export function refuseTaken(withoutReferences: object, references: readonly Reference[]): void {
  const text = JSON.stringify(withoutReferences);
  const taken = references.find(({ name }) => new RegExp(String.raw`\$(?:${name}(?!\w)|\{${name}\})`).test(text));
  if (taken === undefined) return;
  throw new NotExportedError(
    `the spec has $${taken.name}, which would be filled in there as well: remove it from the spec`,
  );
}

/** One key of a Secret or ConfigMap. */
export interface KeyRef {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
}

/** The command that prints the value of a key as it is, and nothing behind it. */
export function printKey({ kind, namespace, name, key }: KeyRef): string {
  const value = `index .data ${JSON.stringify(key)}`;
  const template = kind === 'Secret' ? `{{ ${value} | base64decode }}` : `{{ ${value} }}`;
  return `kubectl get ${kind.toLowerCase()} ${name} -n ${namespace} -o go-template='${template}'`;
}
