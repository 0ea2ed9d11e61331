import { copyFile, chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporalDownload } from './temporal-download';
import { runToolCommand } from './tool-command';
import type { Tool, ToolSource } from './tool';

/** The Go module proxy has no checksum trouble with these: versions are exact and go.sum is committed. */
const goBuild = { CGO_ENABLED: '0' };

/** Older ones lack worker versioning or update-with-start as we use them. */
const oldestTemporal = [1, 5] as const;

const temporalCliVersion = '1.8.2';
const versityVersion = '1.8.0';
const testServerVersion = '1.38.0';

const temporalByGo: ToolSource = {
  title: 'building with Go (about ten minutes, once)',
  needs: 'Go 1.26.8 or newer (https://go.dev/dl)',
  async make(folder) {
    // A copy, so that go never writes into the checkout.
    for (const file of ['go.mod', 'go.sum']) await copyFile(join(__dirname, 'temporal-cli', file), join(folder, file));
    const versionFlag = `-X github.com/temporalio/cli/internal/temporalcli.Version=${temporalCliVersion}`;
    await runToolCommand(
      [
        'go',
        'build',
        '-trimpath',
        '-o',
        'temporal',
        '-ldflags',
        `-s -w ${versionFlag}`,
        'github.com/temporalio/cli/cmd/temporal',
      ],
      { cwd: folder, env: goBuild },
    );
  },
};

const versityByGo: ToolSource = {
  title: 'building with Go (about four minutes, once)',
  needs: 'Go 1.26.8 or newer (https://go.dev/dl)',
  async make(folder) {
    const program = `github.com/versity/versitygw/cmd/versitygw@v${versityVersion}`;
    await runToolCommand(['go', 'install', '-trimpath', program], { env: { ...goBuild, GOBIN: folder } });
  },
};

const launcher = `#!/bin/sh
exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx512m -cp "$(dirname "$0")/*" io.temporal.testserver.TestServer "$@"
`;

const testServerByMaven: ToolSource = {
  title: 'copying jars with Maven',
  needs: 'Java 11 or newer with Maven',
  async make(folder) {
    await runToolCommand(['java', '-version']);
    await copyFile(join(__dirname, 'temporal-test-server', 'pom.xml'), join(folder, 'pom.xml'));
    await runToolCommand(
      ['mvn', '-q', '-B', '-f', 'pom.xml', 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`],
      {
        cwd: folder,
      },
    );
    await writeFile(join(folder, 'temporal-test-server'), launcher);
    await chmod(join(folder, 'temporal-test-server'), 0o755);
  },
};

async function findTemporal(): Promise<string | null> {
  try {
    const path = (await runToolCommand(['sh', '-c', 'command -v temporal'], { timeoutMs: 5_000 })).trim();
    return isUsableTemporal(await runToolCommand([path, '--version'], { timeoutMs: 10_000 })) ? path : null;
  } catch {
    return null;
  }
}

/** `temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)`: new enough, and one that carries a server. */
export function isUsableTemporal(versionLine: string): boolean {
  const match = /^temporal version (\d+)\.(\d+)\.\d+\S* \(Server /.exec(versionLine);
  if (!match) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > oldestTemporal[0] || (major === oldestTemporal[0] && minor >= oldestTemporal[1]);
}

export const TOOLS = {
  'temporal-cli': {
    name: 'temporal-cli',
    version: temporalCliVersion,
    program: 'temporal',
    findInstalled: findTemporal,
    sources: [temporalDownload({ artifact: 'cli', version: temporalCliVersion, program: 'temporal' }), temporalByGo],
  },
  versitygw: { name: 'versitygw', version: versityVersion, program: 'versitygw', sources: [versityByGo] },
  'temporal-test-server': {
    name: 'temporal-test-server',
    version: testServerVersion,
    program: 'temporal-test-server',
    sources: [
      testServerByMaven,
      temporalDownload({
        artifact: 'temporal-test-server',
        version: testServerVersion,
        program: 'temporal-test-server',
      }),
    ],
  },
} as const satisfies Record<string, Tool>;

export type ToolName = keyof typeof TOOLS;
