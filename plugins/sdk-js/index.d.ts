/** What the gateway knows about the exchange. Nothing here identifies a patient. */
export interface Context {
  direction: 'request' | 'response';
  /** The FHIR interaction: `read`, `search-type`, `create` ... */
  interaction: string;
  /** The resource type; null for whole-system interactions. */
  resourceType: string | null;
  route: string;
  roles: string[];
  purposes: string[];
  /** The media type of the body, without parameters. */
  contentType: string;
  traceparent: string | null;
}

export type StatusHint = 'bad-request' | 'forbidden' | 'not-found' | 'conflict' | 'unprocessable';

export interface Refusal {
  statusHint: StatusHint;
  /** Of the FHIR R4 issue-type value set, such as `business-rule`. */
  code: string;
  /** What to change, without personal data; at most 512 bytes are shown. */
  diagnostics: string;
}

export type Verdict = { tag: 'pass' } | { tag: 'replace'; val: Uint8Array } | { tag: 'refuse'; val: Refusal };

export interface Addition {
  /** `code.coding[]`, `component[1].code.coding[]`, `effectiveDateTime`. */
  path: string;
  /** Bytes or text of JSON, or a value that becomes JSON. A string is taken for JSON text: quote it with `stringify`. */
  value: Uint8Array | string | object | number | boolean;
}

export function pass(): Verdict;
export function replace(body: Uint8Array | string | object): Verdict;
export function refuse(statusHint: StatusHint, code: string, diagnostics: string): Verdict;
export function refusal(statusHint: StatusHint, code: string, diagnostics: string): Refusal;

export type Judge = (context: Context, body: Uint8Array) => Verdict;
export function request(judge: Judge): { onRequest: Judge };
export function response(judge: Judge): { onResponse: Judge };
export function transform(change: Judge): { transform: Judge };
export function enrich(
  add: (context: Context, resource: Uint8Array) => Addition[],
): { enrich(context: Context, resource: Uint8Array): { path: string; value: Uint8Array }[] };

export function text(body: Uint8Array): string;
export function bytes(string: string): Uint8Array;

/** A number with the digits that were written. */
export class Decimal {
  constructor(written: string);
  readonly written: string;
  valueOf(): number;
  toString(): string;
  toJSON(): string;
}
export function parse(body: Uint8Array | string): any;
export function stringify(value: unknown): string;
