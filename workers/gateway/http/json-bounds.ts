import type { RequestLimits } from '../inference/protocol';
import { tooLarge } from '../inference/protocol';

/** In a shorter body neither nesting nor elements can cost much, and scanning each would cost every caller. */
export const SCANNED_FROM_BYTES = 16_384;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Nesting and number of elements of a long JSON text, before it is parsed: a few bytes of text are a hundred of memory. About a
 * nanosecond a byte. What is no JSON is left to the parser. Throws REQUEST_TOO_LARGE.
 */
export function checkJsonBounds(text: Uint8Array, limits: Pick<RequestLimits, 'nesting' | 'elements'>): void {
  if (text.length < SCANNED_FROM_BYTES) return;
  let depth = 0;
  let elements = 0;
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at]!;
    if (byte === QUOTE) at = endOfString(text, at);
    else if (byte === COMMA) elements += 1;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      elements += 1;
      depth += 1;
      if (depth > limits.nesting) throw tooLarge(`the body is nested deeper than ${limits.nesting}`);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
  }
  if (elements > limits.elements) throw tooLarge(`the body has ${elements} elements; at most ${limits.elements}`);
}

/** Index of the closing quote, or the end of the text. */
function endOfString(text: Uint8Array, open: number): number {
  let at = open + 1;
  while (at < text.length && text[at] !== QUOTE) at += text[at] === BACKSLASH ? 2 : 1;
  return at;
}
