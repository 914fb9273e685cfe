import { Client } from '../../src/kube/client/client.ts';
import { systemClock, type Clock, type Random } from '../../src/kube/clock/clock.ts';
import { loadConfig } from '../../src/kube/client/config.ts';
import { Transport, type TransportOptions } from '../../src/kube/client/transport.ts';
import type { ConfigMap } from '../../src/kube/types/builtins.ts';

/** The real client on a kubeconfig; `await using` closes its connections. */
export function connect(
  kubeconfig: string,
  options: Partial<TransportOptions> & { clock?: Clock; random?: Random; writeGate?: () => void } = {},
): { client: Client; transport: Transport } & AsyncDisposable {
  const { clock = systemClock, random = Math.random, writeGate } = options;
  const credentials = loadConfig({ clock, kubeconfig });
  const transport = new Transport({ ...options, credentials, clock, random });
  return {
    client: new Client({ transport, writeGate }),
    transport,
    [Symbol.asyncDispose]: () => transport.close(),
  };
}

/** The smallest object there is to play with. */
export function configMap(namespace: string, name: string, data: Record<string, string> = {}): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data };
}
