export function pseudonym(system: string, value: string): string;
