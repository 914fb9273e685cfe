/** What the operator sees of nodes: which of them pods have to leave. */
import type { InformerLike } from '../kube/cache/informer.ts';
import type { Node } from '../kube/types/builtins.ts';
import { slimMetadata } from '../kube/types/slim.ts';
import { nodeDeparture, type Toleration } from './decisions/node-drain.ts';
import type { Departure, NodesView } from './model.ts';

/** The nodes as the tenant controller uses them. */
export interface NodeSource {
  view(): NodesView;
  /** Why a pod with these tolerations has to leave the node; undefined: it does not. */
  departure(node: string, tolerations: readonly Toleration[] | undefined): Departure | undefined;
  /** Calls `fn` with the name of each node whose pods have to leave it, or may stay after all. */
  onChange(fn: (node: string) => void): void;
}

/** Keeps of a node what {@link nodeDeparture} reads: its status changes every few minutes. */
export function slimNode({ apiVersion, kind, metadata, spec }: Node): Node {
  const taints = spec?.taints?.map(({ key, value, effect }) => ({
    key,
    ...(value !== undefined && { value }),
    effect,
  }));
  return {
    apiVersion,
    kind,
    metadata: slimMetadata(metadata),
    spec: { ...(spec?.unschedulable === true && { unschedulable: true }), ...(taints && { taints }) },
  };
}

/** Of an operator that is not to watch nodes. */
export const HIDDEN_NODES: NodeSource = { view: () => 'Hidden', departure: () => undefined, onChange: () => undefined };

/** The nodes that an informer has. Without the right to list them they are hidden, and nothing else of the operator waits for them. */
export class WatchedNodes implements NodeSource {
  readonly #informer: InformerLike<Node>;

  constructor(informer: InformerLike<Node>) {
    this.#informer = informer;
  }

  view(): NodesView {
    if (this.#informer.forbiddenIn('') !== undefined) return 'Hidden';
    return this.#informer.hasSynced() ? 'Seen' : 'Unknown';
  }

  departure(node: string, tolerations: readonly Toleration[] | undefined): Departure | undefined {
    const found = this.#informer.store.get({ namespace: '', name: node });
    return found && nodeDeparture(found, tolerations);
  }

  onChange(fn: (node: string) => void): void {
    this.#informer.addHandler({
      onAdd: (node) => {
        if (nodeDeparture(node) !== undefined) fn(node.metadata.name);
      },
      onUpdate: (before, node) => {
        if (nodeDeparture(before)?.message !== nodeDeparture(node)?.message) fn(node.metadata.name);
      },
    });
  }
}
