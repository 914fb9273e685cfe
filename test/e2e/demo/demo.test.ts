// What a newcomer types first. The demo is kept afterwards, because its user may still need it.
import { describe, expect, it, jest } from '@jest/globals';
import { cliVersion } from '../../support/copilot-binary.ts';
import { PROJECT } from '../../support/tenant-api.ts';
import { output, run, toolPath } from '../../support/tools.ts';

jest.setTimeout(720_000);

/** Elsewhere the demo has to be told a StorageClass of ReadWriteMany volumes, or shows nothing of them. */
const HAS_SHARED_CLASS = process.env['CLUSTER'] !== 'current' || Boolean(process.env['SHARED_CLASS']);

const make = (...args: string[]) => run('make', ['--no-print-directory', '-C', PROJECT, ...args]);
/** Of the servers. The demo kills their pods, has them sleep, and changes their program, in the end back to what it was. */
const templates = () => {
  const selected = ['--namespace', 'copilot-demo', '-l', 'copilot-operator.dev/tenant=acme'];
  const path = 'jsonpath={.items[*].spec.template}';
  return output(toolPath('kubectl'), ['get', 'deployments', ...selected, '-o', path]);
};

/** What the last table with these columns says of an object. A cell may be empty, so cells are found by where their column begins. */
function cells(text: string, name: string, columns: readonly string[]): (string | undefined)[] {
  const lines = text.split('\n');
  const at = lines.findLastIndex(
    (line) => line.startsWith('NAME ') && columns.every((column) => line.includes(column)),
  );
  const [header = '', row = ''] = [lines[at], lines.slice(at).find((line) => line.startsWith(`${name} `))];
  return columns.map((column) => row.slice(header.indexOf(` ${column}`) + 1).split(' ')[0]);
}

describe('make demo', () => {
  it('ends with an answer from the tenant and its healthy state, and changes nothing when it is repeated', async () => {
    const { stdout, stderr, code } = await make('demo');
    expect(stderr).toBe('');
    expect(stdout).toContain('Hello from the test model! You said: What is a Kubernetes operator?');
    expect(stdout).toMatch(
      /\n> Count to ten\n[^]*pod "acme-0-[^]*one two three four five six seven eight nine ten\n\(session /,
    );
    // The client that is killed saw the beginning, and the one that follows it gets the whole answer of the same turn.
    expect(stdout).toMatch(
      /\n> Count to twenty\n(?!.* twenty).*\n\(the client is killed; [^\n]*\none two three [^\n]* twenty\n\(session count-\d+, in the middle of its turn\)\n/,
    );
    // Asleep, and awake again.
    expect(stdout).toMatch(/^acme +True +0\/0 .* True +The tenant sleeps: /m);
    expect(stdout).toMatch(/\n> Good morning\n[^]*You said: Good morning/);
    expect(stdout).toContain('\n> Let me in\nAUTHENTICATION_FAILED\n');
    // While alice has her turn, bob is told so; after it he has his.
    expect(stdout).toMatch(/\n> May I\? \(bob\)\nthe session is in use by alice since \d{4}-/);
    expect(stdout).toMatch(/\n> And now\? \(bob\)\n[^]*You said: And now\?/);
    // The server with the session is deleted in the middle of an answer, which the other one finishes with all that was said before.
    const found = stdout.matchAll(/^\(at server (duo-[01]); the model was told the prompts of the session: (\d+)\)$/gm);
    const places = [...found].map(([, server, told]) => ({ server, told }));
    expect(places.map(({ told }) => told)).toEqual(HAS_SHARED_CLASS ? ['1', '2'] : []);
    expect(new Set(places.map(({ server }) => server)).size).toBe(places.length);
    const goesOn =
      /\n> Count to ten\n[^]*deployment\.apps "duo-[^]*one two three four five six seven eight nine ten\n\(session shared-\d+\)\n\(at server /;
    expect(goesOn.test(stdout)).toBe(HAS_SHARED_CLASS);
    expect(stdout).toMatch(new RegExp(`^acme +True +1/1 +(\\d+ +)?Healthy +${cliVersion()} `, 'm'));
    expect(stdout).toMatch(/^review +acme +True +Pending /m);
    const used = cells(stdout, 'review', ['PHASE', 'TURNS', 'INPUT-TOKENS', 'OUTPUT-TOKENS']);
    expect(used).toEqual(['Idle', '1', expect.stringMatching(/^[1-9]\d*$/), expect.stringMatching(/^[1-9]\d*$/)]);
    expect(stdout).toContain('run the cleanup, which deletes the session');
    expect(stdout).toContain('Next, try:');
    expect(code).toBe(0);

    expect((await make('chat', 'PROMPT=Still there?')).stdout).toContain('You said: Still there?');
    const deployments = await templates();
    expect((await make('demo')).code).toBe(0);
    expect(await templates()).toBe(deployments);
  });
});
