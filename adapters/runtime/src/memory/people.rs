//! Accounts, log-ins and who was let in, on the same plain data.

use super::state::Memory;
use super::views::answered;
use super::{Failure, MemoryStore};
use crate::ports::{
    Account, Accounts, Answer, AuditLog, AuditRecord, AuditRow, Created, Email, LogIn, Refresh,
    Refreshed, Sessions,
};
use core::cmp::Reverse;
use goldenpath_core::auth::{
    Cutoff, Digest, Endings, Family, LOG_INS, Leave, RefreshVerdict, Role, Scope, Vouched,
};
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Wall;

impl Memory {
    fn change(&mut self, user: &Scope, change: impl FnOnce(&mut Account) -> bool) -> bool {
        self.accounts.get_mut(user.user_id()).is_some_and(change)
    }

    fn owner_of(&self, email: &Email) -> Option<&UserId> {
        let mut accounts = self.accounts.values();
        accounts.find(|account| account.email == *email).map(|account| &account.user_id)
    }

    fn replace_hash(&mut self, user: &Scope, old: &str, new: String) -> bool {
        self.change(user, |account| {
            let same = account.password_hash == old;
            if same {
                account.password_hash = new;
            }
            same
        })
    }

    fn revoke_all(&mut self, user: &UserId, cutoff: Cutoff, until: Wall) -> Vec<SessionId> {
        let kept = self.cutoffs.entry(user.clone()).or_insert(cutoff);
        if kept.at <= cutoff.at {
            *kept = cutoff;
        }
        let families = self.log_ins.values().map(|log_in| &log_in.family);
        let of_user = families.filter(|family| family.user_id == *user && !family.ended);
        let mut ended: Vec<_> = of_user.map(|family| family.session_id).collect();
        ended.retain(|session_id| Some(*session_id) != cutoff.but);
        ended.sort_unstable();
        for session_id in &ended {
            self.revoke(user, *session_id, until);
        }
        ended
    }

    fn begin(&mut self, log_in: LogIn, until: Wall) -> Vec<SessionId> {
        let Family { user_id, began_at, .. } = log_in.family.clone();
        let mut others: Vec<_> = self.going_on(&user_id, began_at).collect();
        others
            .sort_by_key(|family| Reverse((family.rotated_at, family.began_at, family.session_id)));
        let crowded_out = others.iter().skip(LOG_INS - 1);
        let mut ended: Vec<_> = crowded_out.map(|family| family.session_id).collect();
        ended.sort_unstable();
        for session_id in &ended {
            self.revoke(&user_id, *session_id, until);
        }
        self.log_ins.insert(log_in.family.key, log_in);
        ended
    }

    fn going_on(&self, user: &UserId, now: Wall) -> impl Iterator<Item = &Family> {
        let families = self.log_ins.values().map(|log_in| &log_in.family);
        families
            .filter(move |family| family.user_id == *user && !family.ended && family.ends_at > now)
    }

    fn revoke(&mut self, user: &UserId, session_id: SessionId, until: Wall) {
        for log_in in self.log_ins.values_mut() {
            if log_in.family.user_id == *user && log_in.family.session_id == session_id {
                log_in.family.ended = true;
            }
        }
        let kept = self.revoked.entry((user.clone(), session_id)).or_insert(until);
        *kept = until.max(*kept);
    }
}

impl Accounts for MemoryStore {
    fn create(&self, account: Account) -> Answer<Created> {
        let mut memory = self.memory();
        let created = if memory.accounts.values().any(|other| other.email == account.email) {
            Created::EmailTaken
        } else if memory.accounts.contains_key(&account.user_id) {
            Created::IdTaken
        } else {
            memory.accounts.insert(account.user_id.clone(), account);
            Created::Done
        };
        answered(created)
    }

    fn by_email(&self, email: &Email) -> Answer<Option<Account>> {
        answered(self.memory().accounts.values().find(|account| account.email == *email).cloned())
    }

    fn by_id(&self, user: &Scope) -> Answer<Option<Account>> {
        answered(self.memory().accounts.get(user.user_id()).cloned())
    }

    fn set_password(&self, user: &Scope, old_hash: String, new_hash: String) -> Answer<bool> {
        answered(self.memory().replace_hash(user, &old_hash, new_hash))
    }

    fn set_name(&self, user: &Scope, name: Option<String>) -> Answer<bool> {
        answered(self.memory().change(user, |account| {
            account.name = name;
            true
        }))
    }

    fn set_roles(&self, email: &Email, roles: Vec<Role>) -> Answer<bool> {
        let mut memory = self.memory();
        let account = memory.accounts.values_mut().find(|account| account.email == *email);
        answered(account.map(|account| account.roles = roles).is_some())
    }

    fn is_known(&self, user: &UserId) -> Answer<bool> {
        let memory = self.memory();
        let mut log_ins = memory.log_ins.values();
        let logged_in = log_ins.any(|log_in| log_in.family.user_id == *user);
        answered(logged_in || memory.accounts.contains_key(user))
    }

    fn preferences(&self, user: &Scope) -> Answer<Option<String>> {
        answered(self.memory().preferences.get(user.user_id()).cloned())
    }

    fn set_preferences(&self, user: &Scope, json: String, _: Wall) -> Answer<()> {
        self.memory().preferences.insert(user.user_id().clone(), json);
        answered(())
    }
}

impl Sessions for MemoryStore {
    fn begin(&self, user: &Scope, mut log_in: LogIn, until: Wall) -> Answer<Vec<SessionId>> {
        log_in.family.user_id = user.user_id().clone();
        answered(self.memory().begin(log_in, until))
    }

    fn begin_with(
        &self,
        user: &Scope,
        mut log_in: LogIn,
        hash: String,
        until: Wall,
    ) -> Answer<Option<Vec<SessionId>>> {
        log_in.family.user_id = user.user_id().clone();
        let mut memory = self.memory();
        let account = memory.accounts.get(user.user_id());
        let same = account.is_some_and(|account| account.password_hash == hash);
        answered(same.then(|| memory.begin(log_in, until)))
    }

    fn change_password(
        &self,
        user: &Scope,
        (old_hash, new_hash): (String, String),
        cutoff: Cutoff,
        until: Wall,
    ) -> Answer<Option<Vec<SessionId>>> {
        let mut memory = self.memory();
        let changed = memory.replace_hash(user, &old_hash, new_hash);
        answered(changed.then(|| memory.revoke_all(user.user_id(), cutoff, until)))
    }

    fn refresh(&self, refresh: Refresh) -> Answer<Option<Refreshed>> {
        let mut memory = self.memory();
        let Some(log_in) = memory.log_ins.get_mut(&refresh.key) else { return answered(None) };
        let judgement = log_in.family.present(&refresh.presented);
        let log_in = log_in.clone();
        if judgement.verdict() == RefreshVerdict::Reused {
            memory.revoke(&log_in.family.user_id, log_in.family.session_id, refresh.until);
        }
        answered(Some(Refreshed { log_in, judgement }))
    }

    fn revoke(&self, log_in: &Leave, until: Wall) -> Answer<()> {
        self.shared().carried_out(Failure::None, |memory| {
            memory.revoke(log_in.user_id(), log_in.session_id(), until);
            Ok(())
        })
    }

    fn revoke_all(&self, user: &Scope, cutoff: Cutoff, until: Wall) -> Answer<Vec<SessionId>> {
        answered(self.memory().revoke_all(user.user_id(), cutoff, until))
    }

    fn endings(&self, of: &Vouched) -> Answer<Endings> {
        let (memory, user) = (self.memory(), of.user_id());
        let revoked = memory.revoked.contains_key(&(user.clone(), of.session_id()));
        answered(Endings { revoked, cutoff: memory.cutoffs.get(user).copied() })
    }

    fn of_user(&self, user: &Scope, now: Wall) -> Answer<Vec<LogIn>> {
        let (memory, user) = (self.memory(), user.user_id());
        let of_user = memory.log_ins.values().filter(|log_in| log_in.family.user_id == *user);
        let mut alive: Vec<_> = of_user
            .filter(|log_in| !log_in.family.ended && log_in.family.ends_at > now)
            .cloned()
            .collect();
        alive.sort_by_key(|log_in| Reverse((log_in.family.began_at, log_in.family.session_id)));
        alive.truncate(LOG_INS);
        answered(alive)
    }

    fn has_come_from(&self, email: &Email, place: &str) -> Answer<bool> {
        let memory = self.memory();
        let Some(user) = memory.owner_of(email) else { return answered(false) };
        let mut log_ins = memory.log_ins.values();
        answered(log_ins.any(|log_in| log_in.family.user_id == *user && log_in.place == place))
    }

    fn is_device_of(&self, email: &Email, key: Digest) -> Answer<bool> {
        let memory = self.memory();
        let Some(user) = memory.owner_of(email) else { return answered(false) };
        answered(memory.log_ins.get(&key).is_some_and(|log_in| log_in.family.user_id == *user))
    }

    fn forget(&self, now: Wall) -> Answer<u64> {
        let mut memory = self.memory();
        let before = memory.log_ins.len() + memory.revoked.len();
        memory.log_ins.retain(|_, log_in| log_in.family.ends_at > now);
        memory.revoked.retain(|_, until| *until > now);
        answered((before - memory.log_ins.len() - memory.revoked.len()) as u64)
    }
}

impl AuditLog for MemoryStore {
    fn append(&self, records: Vec<AuditRecord>) -> Answer<()> {
        let mut memory = self.memory();
        for record in records {
            memory.audited += 1;
            let n = memory.audited;
            memory.audit.push(AuditRow { n, record });
        }
        answered(())
    }

    fn read(&self, before: Option<u64>, limit: u32) -> Answer<Vec<AuditRow>> {
        let memory = self.memory();
        let rows = memory.audit.iter().rev().filter(|row| before.is_none_or(|n| row.n < n));
        answered(rows.take(limit as usize).cloned().collect())
    }

    fn forget_before(&self, at: Wall) -> Answer<u64> {
        let mut memory = self.memory();
        let before = memory.audit.len();
        memory.audit.retain(|row| row.record.at >= at);
        answered((before - memory.audit.len()) as u64)
    }
}
