// Sweeps the locks of a volume again and again until it is told to end: far more often than any cleanup does.
import { setImmediate } from 'node:timers/promises';
import { Volume } from '../../src/cleanup/volume.ts';

const volume = new Volume(process.argv[2] ?? '');
const end = new AbortController();
process.on('SIGTERM', () => end.abort());
let swept = 0;
while (!end.signal.aborted) {
  for await (const id of volume.orphanLocks()) {
    await volume.deleteLock(id);
    swept += 1;
  }
  await setImmediate();
}
process.stdout.write(`${swept}`);
