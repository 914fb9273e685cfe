/** Tools that an agent of a Shared tenant may have. */

/** Those of clients, which run where the client runs. A name that ends in `*` stands for all that begin so. */
const CLIENT_TOOLS = 'custom:*';

/** The clients' own, and those of the server that have neither a program, a path nor an address as parameter. */
export const HARMLESS_TOOLS: readonly string[] = [
  CLIENT_TOOLS,
  'builtin:ask_user',
  'builtin:exit_plan_mode',
  'builtin:task_complete',
];
