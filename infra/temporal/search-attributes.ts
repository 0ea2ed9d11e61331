import type { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../../workflows/domain/names';

/** `temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD`. */
const KEYWORD = 2;

/** Names of the custom search attributes that the namespace has. */
export async function registeredSearchAttributes(connection: Connection, namespace: string): Promise<string[]> {
  const existing = await connection.operatorService.listSearchAttributes({ namespace });
  return Object.keys(existing.customAttributes ?? {});
}

/** Registers what is missing in the namespace; a start with an unregistered attribute would fail. */
export async function registerSearchAttributes(connection: Connection, namespace: string): Promise<string[]> {
  const existing = await registeredSearchAttributes(connection, namespace);
  const missing = Object.values(SEARCH_ATTRIBUTES).filter((name) => !existing.includes(name));
  if (missing.length === 0) return [];
  const searchAttributes = Object.fromEntries(missing.map((name) => [name, KEYWORD]));
  await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
  return missing;
}
