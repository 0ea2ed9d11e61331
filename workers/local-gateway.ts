import { readFileSync } from 'node:fs';
import { endWithParent } from '../infra/process/end-with-parent';
import type { Signature } from '../workflows/domain/release';
import { serveLocalModel } from './gateway/local-model';
import { runProcess } from './process';

/** Serves one model file for `slipway try`: prints `{url, model}` as a line of JSON, and ends with who started it. */
runProcess('local-gateway', async () => {
  const [onnxPath, signatureFile, port] = process.argv.slice(2);
  const signature = JSON.parse(readFileSync(signatureFile!, 'utf8')) as Signature;
  const served = await serveLocalModel({ onnxPath: onnxPath!, signature, port: Number(port) });
  process.stdout.write(`${JSON.stringify({ url: served.url, model: served.model })}\n`);
  await new Promise<void>((resolve) => {
    endWithParent(resolve);
    process.once('SIGTERM', resolve);
    // A stdin that is only watched keeps no process alive.
    process.stdin.ref();
  });
  await served.close();
});
