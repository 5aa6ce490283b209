import assert from 'node:assert/strict';
import test from 'node:test';
import { returned } from '../../../adapters/warp/page/app/machine/returned.js';

const code = '0123456789abcdef'.repeat(4);

test('a browser that comes back brings a code or a reason, and nothing else counts', () => {
  assert.deepEqual(returned(`#login=${code}`), { code, failed: null });
  assert.deepEqual(returned('#login-failed=rate_limited'), { code: null, failed: 'rate_limited' });
  for (const other of ['', '#/new', '#/t/thr_1', `#login=${code}0`, '#login=<b>', '#login-failed=', '#login-failed=<img>', `#/t/#login=${code}`]) {
    assert.equal(returned(other), null, other);
  }
});
