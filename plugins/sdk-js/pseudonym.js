// Grant `pseudonym`: 64 hexadecimal digits for a value of a system, under the operator's key.
import { pseudonym as ask } from 'varco:plugin/pseudonym@0.2.0';

export const pseudonym = (system, value) => ask(system, value);
