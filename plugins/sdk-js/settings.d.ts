export function settings(): any;
