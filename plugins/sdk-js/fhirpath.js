// Grant `fhirpath`: questions about the body of this call. Throws { tag, val } where there is no answer.
import { evaluate } from 'varco:plugin/fhirpath@0.2.0';

export const fhirpath = (expression) => evaluate(expression);
