export function count(name: string, by?: number): void;
