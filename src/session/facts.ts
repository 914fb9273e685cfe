/** What the operator was told at its start and the sessions' Jobs depend on. Fixed while the process runs. */
export interface SessionOperatorFacts {
  /** The operator's own image: the command `cleanup` is in it. */
  readonly operatorImage: string;
}
