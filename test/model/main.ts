/** Runs the test model on PORT (default 8080, all addresses) until SIGTERM or SIGINT. */
import { createModelServer } from './server.ts';

const port = Number(process.env['PORT'] ?? 8080);
const server = createModelServer();
server.listen(port, () => console.log(JSON.stringify({ msg: 'test model is listening', port })));

for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    server.close();
    // Answers that are being streamed slowly on purpose must not hold up the end of a test run.
    server.closeAllConnections();
  });
