// Grant `concept-map`: the operator's concept maps, by canonical URL. Throws 'unknown-map' or 'too-many'.
import { translate as ask } from 'varco:plugin/concept-map@0.2.0';

export const translate = (map, { system = null, code, display = null }) => ask(map, { system, code, display });
