import { createWriteStream } from 'node:fs';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { runToolCommand } from './tool-command';
import type { ToolSource } from './tool';

/** The service that Temporal's SDKs download from (sdk-core, ephemeral_server). */
const temporalDownloads = 'https://temporal.download';
/** Long enough for a slow link, short enough that a machine without the open internet goes on to the next way. */
const infoTimeoutMs = 10_000;
const archiveTimeoutMs = 15 * 60_000;

const downloadInfo = z.object({ archiveUrl: z.url(), fileToExtract: z.string().min(1) });

export interface TemporalDownload {
  readonly artifact: 'cli' | 'temporal-test-server';
  readonly version: string;
  readonly program: string;
  readonly service?: string;
}

/** The build that Temporal publishes for this platform, as a tar archive. */
export function temporalDownload(download: TemporalDownload): ToolSource {
  return {
    title: 'downloading from temporal.download',
    needs: 'access to https://temporal.download and github.com',
    make: (folder) => fetchProgram(download, folder),
  };
}

async function fetchProgram(download: TemporalDownload, folder: string): Promise<void> {
  const info = await fetchInfo(download);
  const unpacked = join(folder, 'unpacked');
  const archive = join(folder, 'archive.tar.gz');
  await mkdir(unpacked);
  await fetchFile(info.archiveUrl, archive);
  await runToolCommand(['tar', '-xzf', archive, '-C', unpacked]);
  await rename(join(unpacked, basename(info.fileToExtract)), join(folder, download.program)).catch(() =>
    rename(join(unpacked, info.fileToExtract), join(folder, download.program)),
  );
  await chmod(join(folder, download.program), 0o755);
  await rm(unpacked, { recursive: true });
  await rm(archive);
}

async function fetchInfo(download: TemporalDownload): Promise<z.infer<typeof downloadInfo>> {
  const url = new URL(`${download.service ?? temporalDownloads}/${download.artifact}/v${download.version}`);
  url.searchParams.set('arch', process.arch === 'arm64' ? 'arm64' : 'amd64');
  url.searchParams.set('platform', process.platform === 'darwin' ? 'darwin' : 'linux');
  url.searchParams.set('format', 'tar.gz');
  const reply = await fetch(url, { signal: AbortSignal.timeout(infoTimeoutMs) });
  if (!reply.ok) throw new Error(`${url.host} answered ${reply.status}`);
  return downloadInfo.parse(await reply.json());
}

async function fetchFile(url: string, path: string): Promise<void> {
  const reply = await fetch(url, { signal: AbortSignal.timeout(archiveTimeoutMs) });
  if (!reply.ok || !reply.body) throw new Error(`${new URL(url).host} answered ${reply.status}`);
  await pipeline(Readable.fromWeb(reply.body), createWriteStream(path));
}
