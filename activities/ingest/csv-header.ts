import { SlipwayError } from '../../workflows/domain/errors';

/**
 * Column names of a CSV file from its first bytes (RFC 4180: comma, double quotes, LF or CRLF; a UTF-8 byte order mark is
 * skipped). Throws DATA_UNREADABLE where the file is empty, binary, not UTF-8, or names a column twice or not at all.
 */
export function parseCsvHeader(file: string, start: Uint8Array): string[] {
  const refuse = (why: string): SlipwayError => new SlipwayError('DATA_UNREADABLE', `${file} cannot be read: ${why}`);
  if (start.length === 0) throw refuse('the file is empty');
  if (start.includes(0)) throw refuse('it holds zero bytes, so it is no CSV');
  const names = firstRecord(new TextDecoder('utf-8').decode(start));
  if (names === undefined) throw refuse('its header has a quote that is not closed');
  const bad = names.find((name) => name.trim() === '' || name.includes('\uFFFD'));
  if (bad !== undefined)
    throw refuse(bad.trim() === '' ? 'its header has a column without a name' : 'its header is not UTF-8');
  const lower = names.map((name) => name.toLowerCase());
  const twice = lower.findIndex((name, index) => lower.indexOf(name) < index);
  // By place: where the file has no header, its "names" are the values of a row (invariant I10).
  if (twice >= 0)
    throw refuse(`its header gives columns ${lower.indexOf(lower[twice]!) + 1} and ${twice + 1} the same name`);
  return names;
}

function firstRecord(text: string): string[] | undefined {
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]!;
    if (quoted) {
      if (char !== '"') field += char;
      else if (text[at + 1] === '"') field += text[(at += 1)]!;
      else quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === ',') {
      fields.push(field);
      field = '';
    } else if (char === '\n' || char === '\r') break;
    else field += char;
  }
  return quoted ? undefined : [...fields, field];
}
