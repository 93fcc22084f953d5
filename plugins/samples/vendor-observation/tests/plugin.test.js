import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Decimal, bytes, parse, stringify, text } from '../../../sdk-js/index.js';
import { context, withGateway } from '../../../sdk-js/testing/index.js';
import { judge } from '../src/plugin.js';

const SETTINGS = { patients: 'Patient/', devices: 'urn:serial' };
const READING = { kind: 'weight', patient: '4711', takenAt: '2026-03-02T09:00:00Z', values: { weight: 80 } };

const judged = (reading) => {
  let verdict;
  const body = typeof reading === 'string' ? reading : JSON.stringify(reading);
  const seen = withGateway({ settings: SETTINGS }, () => {
    verdict = judge(context('request', 'Observation'), bytes(body));
  });
  return { verdict, seen };
};

test('a reading becomes an Observation with the digits that were written', () => {
  const { verdict, seen } = judged(JSON.stringify(READING).replace('80', '80.50'));
  assert.equal(verdict.tag, 'replace');
  const made = text(verdict.val);
  assert.match(made, /"valueQuantity":\{"value":80\.50,"unit":"kg"/);
  assert.equal(JSON.parse(made).subject.reference, 'Patient/4711');
  assert.deepEqual(seen.counts, { readings: 1 });
});

test('two values become components', () => {
  const { verdict } = judged({ ...READING, kind: 'blood-pressure', values: { systolic: 128, diastolic: 82 }, device: 'SN-1' });
  const made = JSON.parse(text(verdict.val));
  assert.deepEqual(made.component.map((it) => it.valueQuantity.value), [128, 82]);
  assert.equal(made.device.identifier.value, 'SN-1');
});

test('FHIR passes', () => {
  assert.equal(judged({ resourceType: 'Observation' }).verdict.tag, 'pass');
});

test('what is not understood is refused with what to send', () => {
  for (const [reading, word] of [
    ['not JSON', 'JSON object'],
    ['[]', 'JSON object'],
    [{ ...READING, kind: 'mood' }, 'kind'],
    [{ ...READING, kind: 'constructor' }, 'kind'],
    [{ ...READING, patient: '1/../2' }, 'patient'],
    [{ ...READING, takenAt: '2026-03-02T09:00:00' }, 'takenAt'],
    [{ ...READING, values: { weight: '80' } }, 'values'],
    [{ ...READING, values: { weight: 80, height: 1 } }, 'values'],
    [{ ...READING, device: 7 }, 'device'],
  ]) {
    const { verdict } = judged(reading);
    assert.equal(verdict.tag, 'refuse', JSON.stringify(reading));
    assert.match(verdict.val.diagnostics, new RegExp(word));
  }
});

test('the SDK keeps numbers and text as they were', () => {
  const json = '{"a":1.50,"b":[1e400,-0,12345678901234567890,7],"c":"1.50 \\" è \u{1f600}"}';
  const value = parse(bytes(json));
  assert.ok(value.a instanceof Decimal && value.a > 1.4 && value.b[3] === 7);
  assert.equal(stringify(value), json);
  assert.throws(() => parse('{"a":"\\u0000varco-decimal:1"}'), SyntaxError);
  assert.throws(() => parse('{"a":01}'), SyntaxError);
  assert.throws(() => parse('['.repeat(65)), /64 levels/);
  assert.equal(parse(`${'['.repeat(64)}"[[["${']'.repeat(64)}`).length, 1);
  assert.throws(() => text(Uint8Array.of(0xff)), URIError);
});
