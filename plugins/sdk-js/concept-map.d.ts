export interface Coding {
  system: string | null;
  code: string;
  display: string | null;
}
export interface Target {
  equivalence: string;
  coding: Coding | null;
}
export function translate(map: string, coding: { system?: string; code: string; display?: string }): Target[];
