// Node.js asks here for modules: those of the gateway are in index.js, which tests set up.
const GATEWAY = /^varco:plugin\/([a-z-]+)@/;
const NAMES = {
  log: ['line'],
  settings: ['json'],
  counters: ['add'],
  fhirpath: ['evaluate'],
  'concept-map': ['translate'],
  'codice-fiscale': ['check'],
  pseudonym: ['pseudonym'],
};

export async function resolve(specifier, context, next) {
  return GATEWAY.test(specifier) ? { url: specifier, shortCircuit: true, format: 'module' } : next(specifier, context);
}

export async function load(url, context, next) {
  const found = GATEWAY.exec(url);
  if (!found) return next(url, context);
  const index = JSON.stringify(new URL('./index.js', import.meta.url).href);
  const names = NAMES[found[1]] ?? [];
  const functions = names.map((name) => `export const ${name} = (...args) => gateway()[${JSON.stringify(name)}](...args);`);
  return {
    format: 'module',
    shortCircuit: true,
    source: `import { gateway } from ${index};\n${functions.join('\n')}\n`,
  };
}
