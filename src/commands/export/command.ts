/** The command `export`: prints a server of a tenant as another platform would run it. */
import { Client } from '../../kube/client/client.ts';
import { loadConfig } from '../../kube/client/config.ts';
import { Transport } from '../../kube/client/transport.ts';
import { systemClock } from '../../kube/clock/clock.ts';
import { Deployment } from '../../kube/types/builtins.ts';
import { StatusError, TransportError } from '../../kube/types/errors.ts';
import { ignoreNotFound } from '../../kube/types/not-found.ts';
import { serverName } from '../../resources/names.ts';
import { SERVER_CONTAINER } from '../../resources/pod.ts';
import { CopilotTenant, isSharedStorage } from '../../resources/tenant.ts';
import { aciGroup } from './aci-group.ts';
import { aciText } from './aci-text.ts';
import type { ExportOptions } from './options.ts';
import { NotExportedError } from './references.ts';

/** Resolves to the exit code: 0 printed, 1 there is no such tenant or server, or it cannot be read. */
export async function runExport(options: ExportOptions): Promise<number> {
  const clock = systemClock;
  const credentials = loadConfig({ clock, kubeconfig: options.kubeconfig });
  const transport = new Transport({ credentials, clock, random: Math.random, userAgent: 'copilot-operator-export' });
  try {
    process.stdout.write(await exported(new Client({ transport }), options));
    return 0;
  } catch (error) {
    const isExpected = [NotExportedError, StatusError, TransportError].some((kind) => error instanceof kind);
    if (!isExpected || !(error instanceof Error)) throw error;
    process.stderr.write(`copilot-operator: ${error.message}\n`);
    return 1;
  } finally {
    await transport.close();
  }
}

async function exported(client: Client, { namespace, tenant: name, server, image }: ExportOptions): Promise<string> {
  const key = `${namespace}/${name}`;
  const tenant = await ignoreNotFound(client.get(CopilotTenant, { namespace, name }));
  if (tenant === undefined) throw new NotExportedError(`there is no CopilotTenant ${key}`);
  if (isSharedStorage(tenant)) {
    throw new NotExportedError(
      `the servers of CopilotTenant ${key} share a volume (spec.topology SharedStorage), and a container group elsewhere has no guard in front of its server`,
    );
  }
  const { replicas } = tenant.spec;
  if (server >= Math.max(replicas, 1)) {
    throw new NotExportedError(`--server=${server}: CopilotTenant ${key} has ${replicas} servers, from 0 on`);
  }
  const used = image ?? tenant.spec.server.image ?? (await runningImage(client, tenant, server));
  if (used === undefined) {
    throw new NotExportedError(
      `server ${serverName(name, server)} was never started, so its image is not known: name it with --image`,
    );
  }
  return aciText(aciGroup({ tenant, index: server, image: used }), key);
}

/** A tenant without an image has the operator's default of the time when its server was first started. */
async function runningImage(client: Client, tenant: CopilotTenant, server: number): Promise<string | undefined> {
  const { namespace = '', name } = tenant.metadata;
  const deployment = await ignoreNotFound(client.get(Deployment, { namespace, name: serverName(name, server) }));
  return deployment?.spec?.template.spec?.containers.find(({ name }) => name === SERVER_CONTAINER)?.image;
}
