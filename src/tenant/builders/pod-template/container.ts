/** The container of the server. */
import { durationMs } from '../../../api/duration.ts';
import { GUARDED_SERVER_PORT, SERVER_PORT } from '../../../api/names.ts';
import { CONTAINER_SECURITY, containerResources, SERVER_CONTAINER, type Container } from '../../../resources/pod.ts';
import { isSharedStorage, type CopilotTenant } from '../../../resources/tenant.ts';
import { environment } from './environment.ts';
import { GUARD_READINESS } from './guard.ts';
import { ANY_IPV4, listenAddress, LOOPBACK, type IPFamily } from './listen-address.ts';
import { WORKSPACE } from './paths.ts';
import { volumeMounts } from './volumes.ts';

// The platform's own binaries: npm's loader would be PID 1 and ignore SIGTERM (docs/facts.md).
const PROGRAM = { cli: 'copilot', runtime: 'copilot-runtime' } as const;

/** What the container contains besides the spec. */
export interface ContainerFacts {
  readonly image: string;
  /** The family of the server's addresses. */
  readonly ipFamily: IPFamily;
}

export function serverContainer(
  tenant: CopilotTenant,
  { image, ipFamily }: ContainerFacts,
  revision: number,
): Container {
  const { server } = tenant.spec;
  const isGuarded = isSharedStorage(tenant);
  const host = revision >= 2 ? listenAddress(ipFamily) : ANY_IPV4;
  // A server behind a guard can't be probed itself. The guard knows whether it accepts connections.
  const probe = isGuarded ? GUARD_READINESS : { tcpSocket: { port: SERVER_PORT } };
  return {
    name: SERVER_CONTAINER,
    image,
    command: [PROGRAM[server.binary]],
    args: [
      '--headless',
      '--host',
      isGuarded ? LOOPBACK : host,
      '--port',
      String(isGuarded ? GUARDED_SERVER_PORT : SERVER_PORT),
      '--no-auto-update',
      '--session-idle-timeout',
      String(durationMs(server.idleUnload) / 1000),
    ],
    workingDir: WORKSPACE,
    env: environment(tenant, revision),
    // With a guard, too: it listens there, in the same network namespace, and Services find named ports in containers only.
    ports: [{ name: 'copilot', containerPort: SERVER_PORT, protocol: 'TCP' }],
    resources: containerResources(server.resources),
    // For start-up and routing only: the port opens before the server responds, and stays open when it hangs. The
    // pinger checks whether it responds, so there is no liveness probe.
    startupProbe: { ...probe, periodSeconds: 1, failureThreshold: 120 },
    readinessProbe: { ...probe, periodSeconds: 5, failureThreshold: 3 },
    securityContext: CONTAINER_SECURITY,
    // The last output of a crashed server is in the pod's status: the operator has no permission to read logs.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: volumeMounts(tenant, revision),
  };
}
