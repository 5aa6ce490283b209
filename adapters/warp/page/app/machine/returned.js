/** What stands behind the `#` when a browser comes back from another provider. */

const CODE = /^#login=([0-9a-f]{64})$/;
const FAILED = /^#login-failed=([a-z_]{1,40})$/;

/** `{code}`, `{failed}`, or null when nobody comes back. */
export function returned(hash) {
  const [, code] = CODE.exec(hash) ?? [];
  if (code) return { code, failed: null };
  const [, failed] = FAILED.exec(hash) ?? [];
  return failed ? { code: null, failed } : null;
}
