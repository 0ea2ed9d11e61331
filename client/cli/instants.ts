import { SlipwayError } from '../../workflows/domain/errors';

/** RFC 3339, or a day (`2001-03-20`, its beginning in UTC). Throws USAGE. */
export function parseInstant(text: string): Date {
  const instant = new Date(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text);
  if (Number.isNaN(instant.getTime()))
    throw new SlipwayError('USAGE', `${text} is not an instant; expected such as 2001-03-20T12:00:00Z`);
  return instant;
}
