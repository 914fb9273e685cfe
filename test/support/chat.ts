/** The real Copilot SDK as a client of a server that runs elsewhere: what the demo and the end-to-end tests chat with. */
import { approveAll, CopilotClient, RuntimeConnection } from '@github/copilot-sdk';
import type { ProviderConfig } from '@github/copilot-sdk';

export interface ChatTarget {
  host: string;
  port: number;
  /** The connection token of the tenant's binding Secret. */
  token: string;
}

export interface ChatOptions extends ChatTarget {
  prompt: string;
  /** Goes on with this session instead of making one. */
  resume?: string;
  /** Model of the session; without it the server's own (COPILOT_MODEL) is used. */
  model?: string;
  /** The client's own model provider, for tenants that have none. */
  provider?: ProviderConfig;
  /** Milliseconds until the answer must be complete. Default 60000. */
  timeoutMs?: number;
}

export interface ChatResult {
  sessionId: string;
  answer: string;
  serverVersion: string;
}

/** Connects, says one thing, waits for the whole answer, and leaves the session on the server. */
export async function chat({
  prompt,
  resume,
  model,
  provider,
  timeoutMs = 60_000,
  ...target
}: ChatOptions): Promise<ChatResult> {
  return withClient(target, async (client) => {
    const { version } = await client.getStatus();
    const config = { onPermissionRequest: approveAll, ...(model && { model }), ...(provider && { provider }) };
    const session = resume ? await client.resumeSession(resume, config) : await client.createSession(config);
    const message = await session.sendAndWait({ prompt }, timeoutMs);
    if (!message) throw new Error(`session ${session.sessionId} ended its turn without an answer`);
    await session.disconnect();
    return { sessionId: session.sessionId, answer: message.data.content, serverVersion: version };
  });
}

/** Runs `use` with a started client and stops the client whatever happens. */
export async function withClient<T>(
  { host, port, token }: ChatTarget,
  use: (client: CopilotClient) => Promise<T>,
): Promise<T> {
  const connection = RuntimeConnection.forUri(`${host}:${port}`, { connectionToken: token });
  const client = new CopilotClient({ connection });
  try {
    await client.start();
    return await use(client);
  } finally {
    await client.stop();
  }
}
