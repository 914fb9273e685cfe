/** What the operator was told at its start and every tenant's children depend on. Fixed while the process runs. */
export interface OperatorFacts {
  /** Image of servers whose tenant names none. */
  readonly serverImage: string;
  /** The operator's own image, for the cleanup's pods; undefined when it was not told, by an older chart. */
  readonly operatorImage: string | undefined;
  /** Namespace that the operator runs in: the only one whose operator pods may ping servers. */
  readonly namespace: string;
  /** Address ranges of this cluster that lie in public space, which Restricted servers may not reach either. */
  readonly clusterCIDRs: readonly string[];
}
