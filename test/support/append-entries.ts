import { createAuditLog } from '../../infra/audit/log';
import { createFsStore } from '../../infra/object-store/fs-store';

/** Child process: appends its own and shared entries to one chain, in competition with its siblings. */
async function main([root = '', writer = '', count = '0']: readonly string[]): Promise<void> {
  const log = createAuditLog(createFsStore(root), { workspace: 'dev', signer: null });
  for (let index = 0; index < Number(count); index += 1) {
    for (const id of [`${writer}/${index}`, `shared/${index}`])
      await log.append('p/m', { id, kind: 'command.accepted', actor: writer, summary: id, data: {}, evidence: [] });
  }
}

void main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
