/** What is known of one session from its server's answers. */

/**
 * Whether a session is in its server's memory, and whether a turn runs. `Unloaded`: on the volume only, or loaded and not
 * used since, which the server does not report. A session whose journal can't be read counts as `Loaded`.
 */
export type SessionActivity = 'Active' | 'Loaded' | 'Unloaded';

/** What a session has used so far, according to its journal. */
export interface SessionUsage {
  /** Prompts that the model answered at least in part, as the server counts them; a prompt that was interrupted before is not counted. */
  readonly turns: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** How a deletion on the server ended: the session was deleted, or did not exist. */
export type Deletion = 'Deleted' | 'NotFound';
