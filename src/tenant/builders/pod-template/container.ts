/** The container of the server. */
import { durationMs } from '../../../api/duration.ts';
import { SERVER_PORT } from '../../../api/names.ts';
import type { ServerSpec } from '../../../api/tenant.ts';
import { CONTAINER_SECURITY, SERVER_CONTAINER, type Container } from '../../../resources/pod.ts';
import type { CopilotTenant } from '../../../resources/tenant.ts';
import { environment } from './environment.ts';
import { WORKSPACE } from './paths.ts';
import { volumeMounts } from './volumes.ts';

// The platform's own binaries: npm's loader would be PID 1 and ignore SIGTERM (docs/facts.md).
const PROGRAM = { cli: 'copilot', runtime: 'copilot-runtime' } as const;

export function serverContainer(tenant: CopilotTenant, image: string): Container {
  const { server } = tenant.spec;
  return {
    name: SERVER_CONTAINER,
    image,
    command: [PROGRAM[server.binary]],
    args: [
      '--headless',
      '--host',
      '0.0.0.0',
      '--port',
      String(SERVER_PORT),
      '--no-auto-update',
      '--session-idle-timeout',
      String(durationMs(server.idleUnload) / 1000),
    ],
    workingDir: WORKSPACE,
    env: environment(tenant),
    ports: [{ name: 'copilot', containerPort: SERVER_PORT, protocol: 'TCP' }],
    resources: resources(server.resources),
    // For start-up and routing only: the port opens before the server responds, and stays open when it hangs. The
    // pinger checks whether it responds, so there is no liveness probe.
    startupProbe: { tcpSocket: { port: SERVER_PORT }, periodSeconds: 1, failureThreshold: 120 },
    readinessProbe: { tcpSocket: { port: SERVER_PORT }, periodSeconds: 5, failureThreshold: 3 },
    securityContext: CONTAINER_SECURITY,
    // The last output of a crashed server is in the pod's status: the operator has no permission to read logs.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: volumeMounts(),
  };
}

// The API accepts a number as a quantity and stores text.
function resources({ requests, limits }: ServerSpec['resources']): NonNullable<Container['resources']> {
  const text = (map: Record<string, string | number>): Record<string, string> =>
    Object.fromEntries(Object.entries(map).map(([name, quantity]) => [name, String(quantity)]));
  return { ...(requests && { requests: text(requests) }), ...(limits && { limits: text(limits) }) };
}
