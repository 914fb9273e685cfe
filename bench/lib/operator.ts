// The measured operator, and what it asked of the API server.
import { FIELD_MANAGER } from '../../src/api/names.ts';
import { recordsSince, type AuditMark, type AuditRecord } from '../../test/support/audit.ts';
import { startShipped, type ShippedProcess } from './shipped.ts';

/** Requests of the measured operator to the API server; those of an operator in the cluster have a pod. */
export function operatorRequestsSince(mark: AuditMark): AuditRecord[] {
  const requests = recordsSince(mark, `"userAgent":"${FIELD_MANAGER}"`).filter(({ pod }) => pod === undefined);
  return requests.filter(({ userAgent }) => userAgent === FIELD_MANAGER);
}

/** Starts the operator against the current kubeconfig. It is ready when its caches are filled and its controllers run. */
export function startOperator(args: string[] = []): ShippedProcess {
  const images = ['--server-image=localhost/copilot-cli:1.0.102', '--operator-image=localhost/copilot-operator:dev'];
  const addresses = ['--metrics-bind-address=127.0.0.1:18080', '--health-probe-bind-address=127.0.0.1:18081'];
  return startShipped('operator', ['--leader-elect=false', ...images, ...addresses, ...args], 18_081);
}
