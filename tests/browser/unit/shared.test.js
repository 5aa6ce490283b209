import assert from 'node:assert/strict';
import test from 'node:test';
import { heard } from '../../../adapters/warp/page/app/machine/shared.js';

const login = (id, expiresAt, demo = true) => ({ token: `t${expiresAt}`, refresh: `r${expiresAt}`, expiresAt, user: { id, demo } });

test('what one window did with the visitor they share is taken over by the others', () => {
  assert.equal(heard(login('v', 1), login('v', 1)), 'same');
  assert.equal(heard(login('v', 1), login('v', 2)), 'newer');
  assert.equal(heard(login('v', 2), login('v', 1)), 'same', 'what is older is used up');
  assert.equal(heard(login('v', 1), null), 'ended');
  assert.equal(heard(login('v', 1), login('w', 2)), 'other');
});

test('an account is no business of other windows', () => {
  assert.equal(heard(login('ada', 1, false), login('v', 2)), 'same');
  assert.equal(heard(login('ada', 1, false), null), 'same');
  assert.equal(heard(null, login('v', 2)), 'same');
});
