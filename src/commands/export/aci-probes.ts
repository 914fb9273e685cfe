/** The probes of a server in Azure Container Instances, which has none that opens a port: they are commands in the container. */
import { durationMs } from '../../api/duration.ts';
import { SERVER_PORT } from '../../api/names.ts';
import type { CopilotTenant } from '../../resources/tenant.ts';
import type { AciProbe } from './aci-model.ts';

/** Before the first check of a server that has to start: as long as Azure may take to mount its share, and the program to begin. */
const START_SECONDS = 30;
const PING = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping', params: {} });

/** bash, which the image has for the agent's shell tool anyway, opens the port by itself. */
function bash(script: string): AciProbe['exec'] {
  return { command: ['/bin/bash', '-c', script] };
}

const open = (port: number) => `exec 3<>/dev/tcp/127.0.0.1/${port}`;

/** Whether the port is open. */
export const portProbe = (port: number): AciProbe['exec'] => bash(open(port));

/**
 * Whether the server answers a ping within `seconds`, as the operator's pinger asks. Without the token it answers that it wants one, which
 * shows as well that it does not hang.
 */
export function pingProbe(port: number, seconds: number): AciProbe['exec'] {
  const frame = String.raw`Content-Length: ${PING.length}\r\n\r\n%s`;
  const answer = `read -r -t ${seconds} -u 3 line && [[ $line == Content-Length:* ]]`;
  return bash(`${open(port)} && printf '${frame}' '${PING}' >&3 && ${answer}`);
}

/** Restarted by `spec.health`, as by the operator; nobody else looks at the server there. */
export function aciProbes({ spec: { health } }: CopilotTenant): { livenessProbe: AciProbe; readinessProbe: AciProbe } {
  const timeoutSeconds = seconds(health.timeout);
  return {
    livenessProbe: {
      exec: pingProbe(SERVER_PORT, timeoutSeconds),
      initialDelaySeconds: START_SECONDS,
      periodSeconds: seconds(health.interval),
      // The script ends by itself, and with an exit code that says why.
      timeoutSeconds: timeoutSeconds + 1,
      failureThreshold: health.failureThreshold,
    },
    readinessProbe: { exec: portProbe(SERVER_PORT), periodSeconds: 5, timeoutSeconds: 5, failureThreshold: 3 },
  };
}

const seconds = (duration: string): number => Math.ceil(durationMs(duration) / 1000);
