import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { GatheredLines } from '../../../../src/kube/runtime/gathered-lines.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const MODULE = join(import.meta.dirname, '../../../../src/kube/runtime/gathered-lines.ts');

function gathered(): { lines: GatheredLines; writes: string[]; clock: FakeClock } {
  const writes: string[] = [];
  const clock = new FakeClock();
  return { writes, clock, lines: new GatheredLines({ write: (text) => void writes.push(text) }, clock) };
}

/** What a process writes that logs two lines and then does `end`. */
function written(end: string): { lines: string[]; code: number | null } {
  const program = `
    import { pino } from 'pino';
    import { gatheredStdout } from ${JSON.stringify(MODULE)};
    import { exitOnCrash } from ${JSON.stringify(join(MODULE, '../process.ts'))};
    const log = pino({ base: null, timestamp: false }, gatheredStdout());
    exitOnCrash(log);
    log.info('first');
    log.info('second');
    ${end}`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  return { lines: stdout.split('\n').filter((line) => line !== ''), code: status };
}

describe('GatheredLines', () => {
  it('lines of one turn of the event loop are one write, in their order, and so are those of the milliseconds after it', async () => {
    const { lines, writes, clock } = gathered();
    lines.write('a\n');
    await Promise.resolve();
    lines.write('b\n');
    expect(writes).toEqual([]);
    await turn();
    expect(writes).toEqual(['a\nb\n']);
    lines.write('c\n');
    await clock.advance(2);
    lines.write('d\n');
    await turn();
    expect(writes).toEqual(['a\nb\n']);
    await clock.advance(3);
    expect(writes).toEqual(['a\nb\n', 'c\nd\n']);
  });

  it('a line that comes alone does not wait', async () => {
    const { lines, writes, clock } = gathered();
    lines.write('a\n');
    await turn();
    await clock.advance(5);
    lines.write('b\n');
    await turn();
    expect(writes).toEqual(['a\n', 'b\n']);
  });

  it('what a pipe does not take at once is not gathered', async () => {
    const { lines, writes, clock } = gathered();
    const long = `${'x'.repeat(40_000)}\n`;
    lines.write(long);
    lines.write(long);
    lines.write('c\n');
    expect(writes).toEqual([long + long]);
    await clock.advance(5);
    expect(writes).toEqual([long + long, 'c\n']);
  });

  it('a logger that is flushed has written all', () => {
    const { lines, writes } = gathered();
    const log = pino({ base: null, timestamp: false }, lines);
    log.info('a');
    log.flush();
    expect(writes).toEqual(['{"level":30,"msg":"a"}\n']);
  });

  it('a process that exits in the same turn has written all', () => {
    const info = (msg: string): string => JSON.stringify({ level: 30, msg });
    expect(written('process.exit(3);')).toEqual({ lines: [info('first'), info('second')], code: 3 });
    expect(written('')).toEqual({ lines: [info('first'), info('second')], code: 0 });
    const crashed = written(`throw new Error('a bug');`);
    expect(crashed.lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      'first',
      'second',
      'uncaught exception',
    ]);
  });
});
