'use strict';
/**
 * Starts one of our programs from a fresh clone: checks Node, installs the locked packages when they are missing or not those
 * of the lock, then becomes the program. Plain JavaScript without packages, because there are none yet when it runs.
 *
 *   node infra/bootstrap.cjs <program.ts | package program such as jest/bin/jest.js> [arguments]
 */
const { spawn } = require('node:child_process');
const { existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { createRequire, runMain } = require('node:module');
const path = require('node:path');

const root = path.join(__dirname, '..');
const oldestNode = [20, 3];
const progressEveryMs = 5_000;
const waitMs = 500;

/** Installed and locked versions agree. Packages for other platforms are optional and may be absent. */
function isInstalled() {
  const installedFile = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages;
  const locked = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(locked).every(([name, entry]) => {
    if (name === '' || entry.link) return true;
    const found = installed[name];
    return found ? found.version === entry.version : entry.optional === true || entry.devOptional === true;
  });
}

function install() {
  const startedMs = Date.now();
  const say = () => {
    process.stderr.write(`installing the locked packages (npm ci): ${Math.round((Date.now() - startedMs) / 1000)} s\n`);
  };
  say();
  const ticker = setInterval(say, progressEveryMs);
  const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const arguments_ = [...npm.slice(1), 'ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const child = spawn(npm[0], arguments_, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`npm ci exited ${code}`))));
  }).finally(() => clearInterval(ticker));
}

/** Two programs started at once on a fresh clone must not run `npm ci` over each other. */
async function installAlone() {
  const lock = path.join(root, '.slipway-install.lock');
  while (!tryLock(lock)) await new Promise((resolve) => setTimeout(resolve, waitMs));
  try {
    if (!isInstalled()) await install();
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    if (isHolderDead(lock)) rmSync(lock, { force: true });
    return false;
  }
}

function isHolderDead(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  process.stderr.write(`Slipway needs Node ${oldestNode.join('.')} or newer; this is ${process.versions.node}\n`);
  process.exit(6);
}

/** Becomes `program` (a path, or a path inside a package) with these arguments, as if node had been given it. */
async function run(program, programArguments) {
  checkNode();
  if (!isInstalled()) await installAlone();
  const fromRoot = createRequire(path.join(root, 'package.json'));
  const file = path.resolve(root, program);
  if (file.endsWith('.ts')) fromRoot('tsx/cjs');
  const entry = existsSync(file) ? file : path.join(root, 'node_modules', program);
  process.argv = [process.execPath, entry, ...programArguments];
  runMain();
}

module.exports = { run };

if (require.main === module) {
  const [program, ...programArguments] = process.argv.slice(2);
  run(program, programArguments).catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 70;
  });
}
