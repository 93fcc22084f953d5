// Grant `codice-fiscale`: whether a text, in capital letters and without spaces, is an Italian tax code.
import { check } from 'varco:plugin/codice-fiscale@0.2.0';

export const codiceFiscale = (text) => check(text);
