// Grant `log`. The gateway keeps 8 lines a call of 512 bytes each. A line must not hold personal data.
import { line } from 'varco:plugin/log@0.2.0';

export const debug = (text) => line('debug', text);
export const info = (text) => line('info', text);
export const warn = (text) => line('warn', text);
export const error = (text) => line('error', text);
