export interface Item {
  typeName: string;
  value:
    | { tag: 'boolean'; val: boolean }
    | { tag: 'integer'; val: number }
    | { tag: 'decimal'; val: string }
    | { tag: 'text'; val: string }
    | { tag: 'element'; val: Uint8Array }
    | { tag: 'without-value' };
}
export function fhirpath(expression: string): Item[];
