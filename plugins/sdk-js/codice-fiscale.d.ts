export function codiceFiscale(
  text: string,
): 'not-a-code' | 'wrong-check-letter' | 'valid' | 'valid-omocodia' | 'provisional';
