// Stands in for the gateway in native tests: node --import ./sdk/testing/register.js --test
//
//   const seen = withGateway({ settings: { limit: 3 } }, () => { ... });
//   seen.lines, seen.counts
//
// `answers` may have settings (an object), fhirpath, translate, codiceFiscale and pseudonym (functions). Without one,
// settings are {}, nothing is a tax code, no map is known, no expression can be evaluated, and a pseudonym is
// `pseudonym-of:SYSTEM|VALUE`. `varco plugin test` runs the built component with the gateway's own answers.

let current;

export const gateway = () => current ?? standIn({}, { lines: [], counts: {} });

export function withGateway(answers, test) {
  const seen = { lines: [], counts: {} };
  current = standIn(answers, seen);
  try {
    test();
  } finally {
    current = undefined;
  }
  return seen;
}

/** The context of a request or an answer about this resource type. */
export const context = (direction, resourceType) => ({
  direction,
  interaction: direction === 'request' ? 'create' : 'read',
  resourceType,
  route: 'test',
  roles: ['AAS'],
  purposes: ['TREAT'],
  contentType: 'application/fhir+json',
  traceparent: null,
});

const fails = (error) => () => {
  throw error;
};

const standIn = (answers, seen) => ({
  line: (level, text) => void seen.lines.push([level, text]),
  json: () => JSON.stringify(answers.settings ?? {}),
  add: (name, by) => void (seen.counts[name] = (seen.counts[name] ?? 0) + by),
  evaluate: answers.fhirpath ?? fails({ tag: 'failed' }),
  translate: answers.translate ?? fails('unknown-map'),
  check: answers.codiceFiscale ?? (() => 'not-a-code'),
  pseudonym: answers.pseudonym ?? ((system, value) => `pseudonym-of:${system}|${value}`),
});
