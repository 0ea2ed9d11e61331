import { SlipwayError } from '../../workflows/domain/errors';

/** A whole number, not below `least`. Throws USAGE naming the option. */
export function parseCount(option: string, text: string, least = 1): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count >= least) return count;
  throw new SlipwayError('USAGE', `${option} ${text} is no whole number of at least ${least}`);
}

/** `a,b,c` as names; null where the option was not given. Throws USAGE for a name that is empty or there twice. */
export function parseNames(text: string | undefined): readonly string[] | null {
  if (text === undefined) return null;
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('') || new Set(names).size < names.length)
    throw new SlipwayError('USAGE', `--features ${text} must be different names with a comma between`);
  return names;
}
