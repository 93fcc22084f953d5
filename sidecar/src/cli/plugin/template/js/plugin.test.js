import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bytes } from '../sdk/index.js';
import { context, withGateway } from '../sdk/testing/index.js';
import { judge } from '../src/plugin.js';

const judged = (patient) => judge(context('request', 'Patient'), bytes(JSON.stringify(patient)));

test('a Patient with an identifier passes and another does not', () => {
  const seen = withGateway({}, () => {
    assert.equal(judged({ resourceType: 'Patient', identifier: [{ value: '1' }] }).tag, 'pass');
    assert.equal(judged({ resourceType: 'Patient', identifier: [] }).tag, 'refuse');
  });
  assert.deepEqual(seen.counts, { without_identifier: 1 });
});
