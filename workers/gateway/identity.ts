import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { SlipwayConfig } from '../../infra/config/config';

/** Folder of what this gateway keeps: routes, model files, journals, files on their way. */
export function cacheFolder(config: Pick<SlipwayConfig, 'home' | 'gateway'>): string {
  return join(config.home, 'gateway', config.gateway.id);
}

export function newIncarnation(id: string): string {
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  return `${id}-${stamp}-${randomBytes(3).toString('hex')}`;
}
