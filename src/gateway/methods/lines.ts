/** The table of methods, one line each: those of the schema of the supported CLI, and those that stand in no schema. */
import type { MethodLine } from './line.ts';
import { SERVER_METHODS } from './table/server.ts';
import { SESSION_MEANS_METHODS } from './table/session-means.ts';
import { SESSION_METHODS } from './table/session.ts';
import { UNDOCUMENTED_METHODS } from './table/undocumented.ts';

/** All lines. */
export const METHOD_LINES: readonly MethodLine[] = [
  ...UNDOCUMENTED_METHODS,
  ...SESSION_METHODS,
  ...SESSION_MEANS_METHODS,
  ...SERVER_METHODS,
];
