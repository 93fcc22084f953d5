// Refuses a Patient without an identifier: a first plugin to change into your own.
import { parse, pass, refuse, request } from '../sdk/index.js';
import { count } from '../sdk/counters.js';

// Called with the body of each request before it is forwarded.
export function judge(context, body) {
  if (context.resourceType !== 'Patient') return pass();
  let patient;
  try {
    patient = parse(body);
  } catch {
    return refuse('bad-request', 'structure', 'Send a Patient as JSON.');
  }
  const identifiers = Array.isArray(patient?.identifier) ? patient.identifier : [];
  if (identifiers.some((identifier) => typeof identifier?.value === 'string')) return pass();
  count('without_identifier');
  return refuse('unprocessable', 'required', 'Send the Patient with an identifier that has a value.');
}

export const requestHook = request(judge);
