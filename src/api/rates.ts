/** `spec.rates` of CopilotTenant: how fast clients may connect and send. */
import { z } from 'zod';

const rate = (whose: string) =>
  z.object({
    connectionsPerMinute: z
      .int()
      .min(1)
      .max(1_000_000)
      .exactOptional()
      .describe(`New connections of ${whose} in a minute; as many may come at once. Default: any number.`),
    framesPerSecond: z
      .int()
      .min(1)
      .max(1_000_000)
      .exactOptional()
      .describe(
        `Messages that ${whose} send in a second; after a quiet time those of ten seconds may come at once. Default: any number.`,
      ),
    bytesPerSecond: z
      .int()
      .min(1024)
      .max(1_000_000_000)
      .exactOptional()
      .describe(
        `Bytes of the messages that ${whose} send in a second; after a quiet time those of ten seconds may come at once, and a single larger message, too. Default: any number.`,
      ),
  });

/** `spec.rates`. */
export const rates = z.object({
  tenant: rate('all clients of the tenant')
    .exactOptional()
    .describe('The rates of all clients of the tenant together.'),
  user: rate('the clients of one user')
    .exactOptional()
    .describe('The rates of the clients of each user. Clients that state no user count as one.'),
});
