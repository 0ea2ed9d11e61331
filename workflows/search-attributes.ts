import type { SearchAttributeUpdatePair } from '@temporalio/common';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/** One of `SEARCH_ATTRIBUTES`, all of type Keyword, to upsert. */
export function setKeyword(name: string, value: string): SearchAttributeUpdatePair {
  return { key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD), value };
}
