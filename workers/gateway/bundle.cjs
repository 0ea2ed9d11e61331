'use strict';
/** One file of the gateway's sources and of most of their packages: it starts sooner, and its functions find each other without a look-up. */
const { readFileSync } = require('node:fs');
const Module = require('node:module');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
/** Packages with files or libraries of their own, and those that few gateways use. */
const external = ['onnxruntime-node', '@duckdb/*', '@aws-sdk/*', '@grpc/*', 'pino', 'tsx', 'tsx/*'];

/** Our sources refer to files beside them; in the build they do so as if they were where they are. */
const ownPlaces = {
  name: 'own-places',
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      const source = readFileSync(file, 'utf8');
      if (file.includes('node_modules') || !/__(dirname|filename)/.test(source)) return undefined;
      const places = `const __filename = ${JSON.stringify(file)}, __dirname = ${JSON.stringify(path.dirname(file))};`;
      return { contents: `${places}\n${source}`, loader: 'ts' };
    });
  },
};

/** The result of esbuild, in memory: `outputFiles[0]` is the code, `metafile` what it was made of. */
async function bundle(entry) {
  const esbuild = Module.createRequire(require.resolve('tsx/cjs'))('esbuild');
  return esbuild.build({
    ...{ entryPoints: [entry], absWorkingDir: root, bundle: true, write: false, metafile: true, outfile: 'main.js' },
    ...{ platform: 'node', format: 'cjs', target: 'node20', keepNames: true, external, plugins: [ownPlaces] },
    logLevel: 'silent',
  });
}

/** Runs such a file as if it lay here, where its packages are found. */
function runBundle(file) {
  const place = new Module(file, null);
  place.filename = path.join(__dirname, 'main.ts');
  place.paths = Module._nodeModulePaths(__dirname);
  place._compile(readFileSync(file, 'utf8'), file);
}

module.exports = { bundle, runBundle };
