import type { Context } from '../index.js';
import type { Item } from '../fhirpath.js';
import type { Coding, Target } from '../concept-map.js';

export interface Answers {
  settings?: object;
  fhirpath?: (expression: string) => Item[];
  translate?: (map: string, coding: Coding) => Target[];
  codiceFiscale?: (text: string) => string;
  pseudonym?: (system: string, value: string) => string;
}
export interface Seen {
  lines: [string, string][];
  counts: Record<string, number>;
}
export function withGateway(answers: Answers, test: () => void): Seen;
export function context(direction: 'request' | 'response', resourceType: string): Context;
