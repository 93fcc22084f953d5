export function debug(text: string): void;
export function info(text: string): void;
export function warn(text: string): void;
export function error(text: string): void;
