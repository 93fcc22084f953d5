// Grant `settings`: what the operator set for this plugin, checked by the manifest's `settings_schema`.
import { json } from 'varco:plugin/settings@0.2.0';

export const settings = () => JSON.parse(json());
