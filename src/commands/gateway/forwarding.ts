/** Has the clients of this replica served by the homes of their tenants, and takes those that peers forward. */
import { RoutedRelay, type RoutedRelayOptions } from '../../gateway/forward/routed-relay.ts';
import { rulesByIsolation } from '../../gateway/methods/rules.ts';
import type { GatewayPeers } from '../../gateway/peers/gateway-peers.ts';
import type { ForwardMetrics } from '../../gateway/report/forward-metrics.ts';

/** `relay` serves the tenants whose home this replica is. */
export function addForwarding(
  options: Omit<RoutedRelayOptions, 'rules' | 'observer' | 'homes'> & { readonly homes: GatewayPeers },
  observer: ForwardMetrics,
): RoutedRelay {
  // Denied calls are counted by the home.
  const routed = new RoutedRelay({ ...options, rules: rulesByIsolation(), observer });
  observer.watch(routed);
  options.homes.onForward(routed.accept);
  return routed;
}
