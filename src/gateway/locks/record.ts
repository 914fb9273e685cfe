/** Records of sessions: what becomes of one by each step, and how it is written down. */
import {
  MAX_EPOCH,
  type Advance,
  type LeftPlace,
  type Place,
  type RecordState,
  type SessionKey,
  type SessionRecord,
} from './store.ts';

/** Characters of an id: what users choose has fewer. */
const MAX_ID = 1_024;

/** @throws RangeError for a key that is none */
export function checkKey({ tenant, session }: SessionKey): void {
  checkTenant(tenant);
  checkText('session', session);
}

/** @throws RangeError */
export function checkTenant(tenant: string): void {
  checkText('tenant', tenant);
}

/** @throws RangeError */
export function checkAdvance({ floor, holder, place, seen }: Advance): void {
  checkFloor(floor);
  checkText('holder', holder);
  // A place without a pod could never be left, because no grant can name it.
  checkText('place.server', place.server);
  checkText('place.podUID', place.podUID);
  if (Math.max(floor, seen?.epoch ?? 0) >= MAX_EPOCH)
    throw new RangeError(`epoch: there is none above ${MAX_EPOCH}, which was seen`);
}

function checkFloor(floor: number): void {
  if (!Number.isInteger(floor) || floor < 0 || floor >= MAX_EPOCH)
    throw new RangeError(`floor: ${floor} is not a whole number from 0 to ${MAX_EPOCH - 1}`);
}

function checkText(name: string, text: string): void {
  if (text === '' || text.length > MAX_ID)
    throw new RangeError(`${name}: it has ${text.length} characters, and must have 1 to ${MAX_ID}`);
}

/** Whether a record is the one that was seen: an epoch is given once, and within it only the state changes. */
export function isSame(found: SessionRecord | undefined, seen: SessionRecord | undefined): boolean {
  return found?.epoch === seen?.epoch && found?.state === seen?.state && found?.holder === seen?.holder;
}

/** The record after `advance`. `forgotten`: the highest epoch that counts where there was no record. */
export function advanced(advance: Advance, forgotten: number): SessionRecord {
  const { seen, floor, place, holder } = advance;
  const least = Math.max(floor, seen?.epoch ?? forgotten);
  return { epoch: least + 1, state: 'Moving', place, leaving: leavingIn(advance), holder };
}

/** Where the session may be loaded beside `place`: each pod once, with the last epoch under which it was to be there. */
export function leavingIn({ seen, place, left = [] }: Pick<Advance, 'seen' | 'place' | 'left'>): LeftPlace[] {
  const pods = new Map<string, LeftPlace>();
  for (const each of seen === undefined ? [] : [...seen.leaving, { ...seen.place, epoch: seen.epoch }])
    if (each.podUID !== place.podUID && !left.includes(each.podUID)) pods.set(each.podUID, each);
  return [...pods.values()];
}

/** The record after `settle`. */
export function settled(seen: SessionRecord): SessionRecord {
  return { ...seen, state: 'Placed', leaving: [] };
}

/**
 * As text: what tells records apart comes first, so that whoever compares need not read the rest, which later versions may extend.
 * `7 Moving "holder" [["team/acme-0","pod-uid"],[["team/acme-1","pod-uid",6]]]`
 */
export function writeRecord(record: SessionRecord): string {
  return `${record.epoch} ${writeBody(record)}`;
}

/** The same after the epoch. */
export function writeBody({ state, holder, place, leaving }: Omit<SessionRecord, 'epoch'>): string {
  return `${state} ${JSON.stringify(holder)} ${JSON.stringify([textsOf(place), leaving.map(textsOf)])}`;
}

/** With what the text of this record begins, and that of no other. */
export function signOf({ epoch, state, holder }: SessionRecord): string {
  return `${epoch} ${state} ${JSON.stringify(holder)} `;
}

const SHAPE = /^([1-9]\d{0,15}) (Moving|Placed) ("(?:[^"\\]|\\.)*") (\[.*\])$/;

/** Undefined for a text that is no record. */
export function readRecord(text: string): SessionRecord | undefined {
  const [, epoch = '', state = '', holder = '', places = ''] = SHAPE.exec(text) ?? [];
  if (epoch === '') return undefined;
  try {
    const [place, leaving] = JSON.parse(places) as unknown[];
    const read = {
      epoch: Number(epoch),
      state: state as RecordState,
      place: placeOf(place),
      leaving: Array.isArray(leaving) ? leaving.map(leftPlaceOf) : [undefined],
      holder: JSON.parse(holder) as string,
    };
    const isWhole = read.place !== undefined && read.leaving.every((each) => each !== undefined);
    return isWhole ? (read as SessionRecord) : undefined;
  } catch {
    // JSON.parse: it is no record, which the caller reports.
    return undefined;
  }
}

function textsOf({ server, podUID, epoch }: LeftPlace): readonly (string | number)[] {
  return epoch === undefined ? [server, podUID] : [server, podUID, epoch];
}

function leftPlaceOf(value: unknown): LeftPlace | undefined {
  const place = placeOf(value);
  const epoch: unknown = Array.isArray(value) ? value[2] : undefined;
  return place !== undefined && Number.isSafeInteger(epoch) ? { ...place, epoch: epoch as number } : place;
}

function placeOf(value: unknown): Place | undefined {
  if (!Array.isArray(value)) return undefined;
  const [server, podUID] = value as unknown[];
  return typeof server === 'string' && typeof podUID === 'string' ? { server, podUID } : undefined;
}
