/** The transcript in the README, between two markers. */

const BEGIN = '<!-- Written by `make transcripts` from a real cluster. -->\n';
const END = '<!-- End of the transcript. -->\n';

/** The README with its transcript replaced. */
export function withTranscript(readme: string, transcript: string): string {
  const { before, after } = parts(readme);
  return `${before}${BEGIN}\n${transcript}\n\n${END}${after}`;
}

/** The transcript in the README. */
export function transcriptOf(readme: string): string {
  return parts(readme).transcript;
}

function parts(readme: string): { before: string; transcript: string; after: string } {
  const [before = '', rest, ...more] = readme.split(BEGIN);
  const [transcript = '', after] = rest?.split(END) ?? [];
  if (after === undefined || more.length > 0) {
    throw new Error(`README.md: expected exactly one transcript between ${BEGIN.trim()} and ${END.trim()}`);
  }
  return { before, transcript: transcript.trim(), after };
}
