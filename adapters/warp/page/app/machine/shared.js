/** A log-in that several tabs share: what one of them makes of what another has done. */

/**
 * `own` is the log-in of this tab (null: nobody), `kept` the one that is kept for all. `same`: nothing
 * to do; `newer`: it was renewed; `ended`: another tab signed out; `other`: it belongs to somebody else.
 */
export function heard(own, kept) {
  if (own?.user?.demo !== true) return 'same';
  if (!kept) return 'ended';
  if (kept.user?.id !== own.user.id) return 'other';
  // An older one is what could not be written over; its refresh token is used up.
  return kept.expiresAt > own.expiresAt ? 'newer' : 'same';
}
