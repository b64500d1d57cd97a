// Milliseconds a test under promptfoo: node promptfoo_overhead.mjs PACKAGE TESTS (none | command). Prints a number.
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const [folder, tests, kind] = process.argv.slice(2);
const resolved = createRequire(`${folder}/index.js`).resolve('promptfoo');
const { evaluate } = await import(pathToFileURL(resolved));
const run = promisify(execFile);

const provider = async () => {
  if (kind === 'command') await run('true');
  return { output: 'an answer' };
};
const suite = {
  prompts: ['a question {{n}}'],
  providers: [provider],
  tests: Array.from({ length: Number(tests) }, (_, n) => ({ vars: { n }, assert: [{ type: 'equals', value: 'an answer' }] })),
};
const began = performance.now();
const done = await evaluate(suite, { cache: false, showProgressBar: false });
const took = performance.now() - began;
const summary = await done.toEvaluateSummary();
if (summary.stats.successes !== Number(tests)) throw new Error(JSON.stringify(summary.stats));
console.log(took / Number(tests));
process.exit(0);
