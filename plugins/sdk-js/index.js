// Write a Varco gateway plugin in JavaScript. A plugin is a function:
//
//   import { request, pass, refuse } from '../sdk/index.js';
//
//   export const requestHook = request((context, body) =>
//     body.length > 4096 ? refuse('unprocessable', 'too-long', 'Send at most 4096 bytes.') : pass());
//
// What may be asked of the gateway is in a module of its own for each grant (`log.js`, `settings.js` ...): import only
// what the manifest grants. Every call runs in a fresh instance: a variable is as new as the call. There is no network,
// no clock worth the name and no Node.js; an exception is the plugin's failure, and the gateway does what the manifest's
// `on_failure` says.

/** The body goes on as it was. */
export const pass = () => ({ tag: 'pass' });

/** The body goes on as this: bytes, a text, or a value that becomes JSON. */
export const replace = (body) => ({ tag: 'replace', val: asBytes(body) });

/** The exchange stops. `code` is of the FHIR R4 issue-type value set; neither text may hold personal data. */
export const refuse = (statusHint, code, diagnostics) => ({ tag: 'refuse', val: refusal(statusHint, code, diagnostics) });

/** What an enrichment throws to stop the exchange. */
export const refusal = (statusHint, code, diagnostics) => ({ statusHint, code, diagnostics });

/** `export const requestHook = request(f)`; world request-plugin, or gateway-plugin with `responseHook`. */
export const request = (judge) => ({ onRequest: (context, body) => judge(context, asArray(body)) });

/** `export const responseHook = response(f)`; world response-plugin. */
export const response = (judge) => ({ onResponse: (context, body) => judge(context, asArray(body)) });

/** `export const transformHook = transform(f)`; world transform-plugin. */
export const transform = (change) => ({ transform: (context, resource) => change(context, asArray(resource)) });

/** `export const enrichmentHook = enrich(f)`; world enrichment-plugin. `f` returns [{ path, value }]. */
export const enrich = (add) => ({
  enrich: (context, resource) =>
    add(context, asArray(resource)).map(({ path, value }) => ({ path, value: asBytes(value) })),
});

const asArray = (body) => (body instanceof Uint8Array ? body : Uint8Array.from(body));

const asBytes = (body) => {
  if (body instanceof Uint8Array) return body;
  return bytes(typeof body === 'string' ? body : stringify(body));
};

/** The text of UTF-8 bytes. Throws a URIError where they aren't UTF-8. */
export function text(body) {
  let binary = '';
  for (let at = 0; at < body.length; at += 8192) binary += String.fromCharCode.apply(null, body.subarray(at, at + 8192));
  return decodeURIComponent(escape(binary));
}

/** A text as UTF-8 bytes. */
export function bytes(string) {
  const binary = unescape(encodeURIComponent(string));
  const out = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) out[at] = binary.charCodeAt(at);
  return out;
}

/**
 * A number that JavaScript would print in another way than it was written: `1.50`, `1e400`, `12345678901234567890`.
 * FHIR decimals are text. `parse` makes them, `stringify` writes them as they were.
 */
export class Decimal {
  constructor(written) {
    if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(written)) throw new SyntaxError('not a JSON number');
    this.written = written;
  }
  valueOf() {
    return Number(this.written);
  }
  toString() {
    return this.written;
  }
  toJSON() {
    return MARK + this.written;
  }
}

// U+0000 is in no FHIR string.
const MARK = '\u0000varco-decimal:';
const MARKED = '"\\u0000varco-decimal:';
const TOKENS = /"(?:[^"\\]|\\[^])*"|-?[0-9][-+.0-9eE]*/g;

// The parser calls itself for each level: text that nests deeper would end the call at its stack's limit.
const LEVELS = 64;
function checkDepth(json) {
  const brackets = /"(?:[^"\\]|\\[^])*"|[[\]{}]/g;
  let depth = 0;
  for (let found = brackets.exec(json); found; found = brackets.exec(json)) {
    const first = found[0];
    if (first === '[' || first === '{') depth++;
    else if (first === ']' || first === '}') depth--;
    if (depth > LEVELS) throw new SyntaxError('the JSON nests deeper than 64 levels');
  }
}

/** The value of JSON bytes or text. At most 64 levels. Numbers that would change become `Decimal`. Throws a SyntaxError or URIError. */
export function parse(body) {
  const json = typeof body === 'string' ? body : text(body);
  checkDepth(json);
  let changed = false;
  const kept = json.replace(TOKENS, (token) => {
    if (token[0] === '"') {
      if (token.startsWith(MARKED)) throw new SyntaxError('a string starts with U+0000');
      return token;
    }
    if (String(Number(token)) === token) return token;
    // What is no number is left for the parser to find.
    if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(token)) return token;
    changed = true;
    return MARKED + token + '"';
  });
  if (!changed) return JSON.parse(json);
  const revive = (_name, value) =>
    typeof value === 'string' && value.startsWith(MARK) ? new Decimal(value.slice(MARK.length)) : value;
  return JSON.parse(kept, revive);
}

/** The JSON text of a value, with each `Decimal` as it was written. */
export function stringify(value) {
  return JSON.stringify(value).replace(/"\\u0000varco-decimal:([^"]*)"/g, (_all, written) => new Decimal(written).written);
}
