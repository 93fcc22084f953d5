// Makes `varco:plugin/...` importable under Node.js: node --import ./sdk/testing/register.js --test
import { register } from 'node:module';

register('./resolve.js', import.meta.url);
