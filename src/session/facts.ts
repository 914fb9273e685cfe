/** What the operator was told at its start and the sessions' Jobs depend on. Fixed while the process runs. */
export interface SessionOperatorFacts {
  /** The operator's own image, with the command `cleanup` in it; undefined when it was not told, by an older chart. */
  readonly operatorImage: string | undefined;
}
