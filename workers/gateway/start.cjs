'use strict';
/**
 * Starts the gateway from one file that was built before, since loading a hundred TypeScript files and their packages one by one takes
 * three times as long. Where there is no such build, or a source has changed since, the sources run as they are, and a build is
 * made beside them for the next start. The build lies in the cache folder, beside the tools, and is trusted as the sources are.
 *
 *   node workers/gateway/start.cjs            start
 *   node workers/gateway/start.cjs --build    build only, as an image or a deployment does
 */
const { spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = require('node:fs');
const { homedir } = require('node:os');
const path = require('node:path');
const { bundle, runBundle } = require('./bundle.cjs');

const root = path.join(__dirname, '..', '..');
const main = path.join(__dirname, 'main.ts');
/** Part of the folder's name: what other rules built is built again. */
const rules = 1;
/** Not while models are being opened. */
const buildAfterMs = 5_000;

function cacheFolder() {
  const caches =
    process.env.SLIPWAY_CACHE ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'), 'slipway');
  const place = createHash('sha256').update(`${root} ${process.version} ${process.arch}`).digest('hex').slice(0, 16);
  return path.join(caches, `gateway-build-${rules}`, place);
}

function stamp(file) {
  const { size, mtimeMs } = statSync(path.join(root, file));
  return `${size} ${mtimeMs}`;
}

/** The built file's path; null where there is none of these sources. */
function findBuild() {
  try {
    const { built, stamps } = JSON.parse(readFileSync(path.join(cacheFolder(), 'build.json'), 'utf8'));
    for (const [file, known] of Object.entries(stamps)) if (stamp(file) !== known) return null;
    return path.join(cacheFolder(), built);
  } catch {
    return null;
  }
}

async function build() {
  const folder = cacheFolder();
  const startedMs = Date.now();
  const { metafile, outputFiles } = await bundle(main);
  const own = Object.keys(metafile.inputs).filter((file) => !file.includes('node_modules'));
  const makers = ['package-lock.json', 'workers/gateway/bundle.cjs'];
  const stamps = Object.fromEntries([...own, ...makers].map((file) => [file, stamp(file)]));
  // What was saved meanwhile may be newer than what was built.
  if (own.some((file) => statSync(path.join(root, file)).mtimeMs >= startedMs)) throw new Error('a source was changed');
  const code = outputFiles[0].contents;
  const built = `main-${createHash('sha256').update(code).digest('hex').slice(0, 16)}.js`;
  mkdirSync(folder, { recursive: true });
  put(path.join(folder, built), code);
  put(path.join(folder, 'build.json'), JSON.stringify({ built, stamps }));
}

/** Two processes may build at once: each file is there whole, and says the same. */
function put(file, contents) {
  const temporary = `${file}.${process.pid}`;
  try {
    writeFileSync(temporary, contents);
    renameSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function runSources() {
  require('tsx/cjs');
  require(main);
  if (process.env.SLIPWAY_GATEWAY_MEMBER !== undefined) return;
  setTimeout(() => {
    // For the next start; this one does not depend on it.
    spawn(process.execPath, [__filename, '--build'], { stdio: 'ignore' })
      .on('error', () => undefined)
      .unref();
  }, buildAfterMs).unref();
}

if (process.argv[2] === '--build') {
  build().catch((error) => {
    process.stderr.write(`the gateway was not built: ${error.message}\n`);
    process.exitCode = 70;
  });
} else {
  const built = findBuild();
  if (built === null) runSources();
  else runBundle(built);
}
