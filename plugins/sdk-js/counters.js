// Grant `counters`: names that the manifest lists under `counters`.
import { add } from 'varco:plugin/counters@0.2.0';

export const count = (name, by = 1) => add(name, by);
