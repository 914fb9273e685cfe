/** What a server's calls say about one session. */

/**
 * Whether a session is in its server's memory, and whether a turn runs. `Unloaded`: on the volume only, or loaded and not
 * yet used since, which a server tells nobody. `Loaded` is also what a session is called whose journal can't be read.
 */
export type SessionActivity = 'Active' | 'Loaded' | 'Unloaded';

/** What a session has used so far, as its server's own journal tells. */
export interface SessionUsage {
  /** Prompts that the model answered at least in part, as the server counts them: not one that was interrupted before. */
  readonly turns: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** How a deletion on the server ended: it was there and is gone, or it was not there. */
export type Deletion = 'Deleted' | 'NotFound';
