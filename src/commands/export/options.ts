/** The command line of `copilot-operator export`. */
import { parseArgs } from 'node:util';
import { notNegative, UsageError } from '../flags.ts';

/** The flags as the help lists them. */
export const EXPORT_FLAGS = `\
  --kubeconfig PATH                  kubeconfig file; default: $KUBECONFIG, else the pod's service account
  --server INDEX                     which server of the tenant; default: 0
  --image IMAGE                      image of the server; default: that of the tenant, else that of its running server`;

const flags = {
  kubeconfig: { type: 'string' },
  server: { type: 'string', default: '0' },
  image: { type: 'string' },
} as const;

export interface ExportOptions {
  readonly namespace: string;
  readonly tenant: string;
  readonly server: number;
  readonly image: string | undefined;
  readonly kubeconfig: string | undefined;
}

/** @throws UsageError */
export function parseExportOptions(args: readonly string[]): ExportOptions {
  const { values, positionals } = parse(args);
  const [format, name, ...others] = positionals;
  if (format !== 'aci') throw new UsageError('export requires what to print: aci NAMESPACE/TENANT');
  const [, namespace, tenant] = /^([^/]+)\/([^/]+)$/.exec(name ?? '') ?? [];
  if (namespace === undefined || tenant === undefined || others.length > 0) {
    throw new UsageError('export aci requires one tenant: NAMESPACE/TENANT');
  }
  return {
    namespace,
    tenant,
    server: notNegative('server', values.server),
    image: values.image,
    kubeconfig: values.kubeconfig,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, strict: true as const, allowPositionals: true as const });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
