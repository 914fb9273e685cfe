/** Decides whether a cron schedule ever comes: the API server accepts one for 30 February, and no run ever starts. */

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
/** The longest that each month can be, from January. */
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Whether no date matches the schedule, which the API server has accepted. A restricted day of the week matches days of every month, and
 * `@daily` and its like always come.
 */
export function neverComes(schedule: string): boolean {
  const fields = schedule
    .replace(/^(TZ|CRON_TZ)=\S+\s+/, '')
    .trim()
    .split(/\s+/);
  const [, , days, months, weekdays] = fields;
  if (fields.length !== 5 || days === undefined || months === undefined || !isAny(weekdays) || isAny(days))
    return false;
  const firstDay = Math.min(...valuesOf(days, 1, 31));
  return valuesOf(months, 1, 12, MONTHS).every((month) => (DAYS[month - 1] ?? 31) < firstDay);
}

const isAny = (field: string | undefined): boolean => field === '*' || field === '?' || field === '*/1';

/** The values of a field: a list of `*`, `N`, `N-M`, each with an optional `/STEP`. */
function valuesOf(field: string, low: number, high: number, names: readonly string[] = []): number[] {
  const numberOf = (text: string): number => {
    const place = names.indexOf(text.toLowerCase());
    return place < 0 ? Number(text) : place + low;
  };
  return field.split(',').flatMap((part) => {
    const [range = '', step] = part.split('/');
    const [from = '', to] = range.split('-');
    const first = from === '*' || from === '?' ? low : numberOf(from);
    const isOpen = from === '*' || from === '?' || (to === undefined && step !== undefined);
    const last = to === undefined ? (isOpen ? high : first) : numberOf(to);
    const values: number[] = [];
    for (let value = first; value <= last; value += Number(step ?? 1)) values.push(value);
    return values;
  });
}
