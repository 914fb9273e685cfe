/** Gives memory back to the system that the process has needed once and does not use now. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * V8 keeps the pages of the largest heap that there was. Neither time nor an ordinary collection gives them back, only one of last resort does, which
 * a program can ask for where V8 has the flag. It is set for a moment: V8 does not use the code cache of code that was compiled with other flags.
 * The process stands still meanwhile, for a few ms for each MB that is in use.
 */
export function returnMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as NodeJS.GCFunction;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
