//! How a duplicate is told, by itself or with others of its hour, and how it ends.

use crate::alert::Finding;
use crate::detector::Context;
use crate::money::Money;

use super::crowd::Told;
use super::group::Group;
use super::{DuplicateCharge, HOLD};

impl DuplicateCharge {
    /// Tells of a duplicate, by itself or with others of its hour.
    pub(super) fn tell(&mut self, name: &str, single: Finding, ctx: &mut Context<'_>) {
        match self.crowds.join(name, &self.groups, ctx.now()) {
            Told::Crowd {
                key,
                merged,
                finding,
            } => {
                for name in merged {
                    ctx.clear(name, format!("told with others of its hour, as `{key}`"));
                }
                finding.into_iter().for_each(|finding| ctx.fire(*finding));
            }
            Told::Single | Told::Over(..) => ctx.fire(single),
        }
    }

    /// An open duplicate is none any more.
    pub(super) fn end(&mut self, name: &str, reason: String, ctx: &mut Context<'_>) {
        self.close(name);
        match self.crowds.leave(name, &self.groups, ctx.now()) {
            Told::Single => ctx.clear(name.to_owned(), reason),
            Told::Crowd { finding, .. } => {
                finding.into_iter().for_each(|finding| ctx.fire(*finding));
            }
            Told::Over(key, joined) => {
                ctx.clear(key, format!("none of {joined} is left; the last: {reason}"));
            }
        }
    }

    /// Ends an alert that is explained, or whose surplus was given back.
    pub(super) fn settle(&mut self, name: &str, explained: Option<String>, ctx: &mut Context<'_>) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        let refunded = group.refunded(ctx);
        let reason = if refunded >= group.surplus {
            let back = Money::new(refunded, group.currency);
            Some(format!("{back} of the surplus was refunded"))
        } else {
            explained
        };
        if let Some(reason) = reason {
            self.end(name, reason, ctx);
        }
    }

    pub(super) fn close(&mut self, name: &str) {
        if let Some(group) = self.groups.remove(name) {
            for member in group.members {
                self.group_of.swap_remove(&member.charge);
            }
        }
    }

    pub(super) fn expire(&mut self, ctx: &mut Context<'_>) {
        if ctx.now() < self.expires_at || self.groups.is_empty() {
            return;
        }
        let is_old = |group: &Group| ctx.now().since(group.opened_at) >= HOLD;
        let old: Vec<String> = self
            .groups
            .iter()
            .filter(|(_, group)| is_old(group))
            .map(|(name, _)| name.clone())
            .collect();
        for name in old {
            let reason = format!("no refund within {HOLD}: taken as intended");
            self.end(&name, reason, ctx);
        }
        let oldest = self.groups.values().map(|group| group.opened_at).min();
        // Those that open from now on end later.
        self.expires_at = oldest.unwrap_or(ctx.now()) + HOLD;
    }
}
