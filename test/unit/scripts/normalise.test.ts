import { describe, expect, it } from '@jest/globals';
import { normalise } from '../../../scripts/transcripts/normalise.ts';

describe('a transcript', () => {
  it('of a table is the same whatever the ages were, and its columns stand straight', () => {
    const printed = (age: string) =>
      `NAME   READY   AGE${' '.repeat(Math.max(age.length - 3, 0))}   MESSAGE\nacme   True    ${age.padEnd(3)}   It answers.\n`;
    expect(normalise(printed('2m10s'), 'e2e-1')).toBe(normalise(printed('9s'), 'e2e-1'));
    expect(normalise(printed('9s'), 'e2e-1')).toBe('NAME   READY   AGE   MESSAGE\nacme   True    5m    It answers.');
  });

  it('keeps a cell that says that there is nothing', () => {
    const printed = 'NAME   LAST-ACTIVITY   AGE\nnew    <none>          3s\nold    20s             3m\n';
    expect(normalise(printed, 'e2e-1')).toBe(
      'NAME   LAST-ACTIVITY   AGE\nnew    <none>          5m\nold    5m              5m',
    );
  });

  it('tells one usage and one size of a session, in a table and in its description', () => {
    const table = (bytes: string, input: string, output: string) =>
      `NAME     BYTES${' '.repeat(bytes.length - 5)}   INPUT-TOKENS   OUTPUT-TOKENS   MESSAGE\nreview   ${bytes}   ${input.padEnd(12)}   ${output.padEnd(13)}   It is idle.\n`;
    const shown = normalise(table('24993', '25', '17'), 'e2e-1');
    expect(normalise(table('1024993', '31337', '4'), 'e2e-1')).toBe(shown);
    const [, bytes, input, output] = shown.split('\n')[1]?.split(/ +/) ?? [];
    const described = normalise(
      'Usage:\n  Input Tokens:   25\n  Output Tokens:  17\nSize Bytes:       24993\n',
      'e2e-1',
    );
    expect(described).toBe(
      `Usage:\n  Input Tokens:   ${input}\n  Output Tokens:  ${output}\nSize Bytes:       ${bytes}`,
    );
  });

  it('of a description has no times, UIDs, versions or addresses of one run', () => {
    const printed = (at: string, uid: string, version: string, address: string) => `Name:         acme
Namespace:    e2e-${version}
Metadata:
  Creation Timestamp:  ${at}
  Resource Version:    ${version}
  UID:                 ${uid}
Status:
  Message:  Server acme-0 at ${address}:4321 answers.
`;
    const uids = ['8c2f6d0e-1111-4222-8333-444455556666', '0b6a1c9d-aaaa-4bbb-8ccc-ddddeeeeffff'] as const;
    const first = normalise(printed('2026-11-26T10:11:12Z', uids[0], '4711', '10.88.0.7'), 'e2e-4711');
    const second = normalise(printed('2027-01-01T00:00:00Z', uids[1], '12', '10.88.1.200'), 'e2e-12');
    expect(first).toBe(second);
    expect(first).toContain('Namespace:    team');
    expect(first).toContain('acme-0 at 10.0.0.1:4321');
  });

  it('of events tells them without how long ago and how often', () => {
    const printed = (age: string) => `Status:
Events:
  Type    Reason        Age${' '.repeat(age.length - 3)}  From              Message
  ----    ------        ${'-'.repeat(age.length)}  ----              -------
  Normal  ServersReady  ${age}  copilot-operator  1 of 1 servers are ready.
`;
    const often = normalise(printed('20s (x2 over 40s)'), 'e2e-1');
    expect(often).toBe(normalise(printed('10s'), 'e2e-1'));
    expect(often).toMatch(/^ {2}Normal +ServersReady +5m +copilot-operator +1 of 1 servers are ready\.$/m);
  });

  it('of fields that are explained stays as it is', () => {
    const printed =
      'FIELDS:\n  ttl\t<string>\n    How long a session is kept.\n\n  dryRun\t<boolean>\n    Deletes nothing.';
    expect(normalise(printed, 'e2e-1')).toBe(printed);
  });
});
