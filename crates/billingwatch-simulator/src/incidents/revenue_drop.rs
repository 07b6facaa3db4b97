//! For two days (three when subtle) 25, 45 or 80 in a hundred payments do not happen, and nothing fails:
//! purchases are not made, and renewal invoices stay drafts for two to three days, as they do when an
//! endpoint fails `invoice.created`; balances of stays are collected as much later.

use super::Conditions;
use crate::billing::Invoice;
use crate::calendar::DAY;
use crate::config::IncidentPlan;
use crate::world::World;

/// A drop, and how many payments it still has to withhold, for purchases and for renewals.
#[derive(Debug)]
pub(crate) struct Drop {
    incident: usize,
    from_ms: i64,
    until_ms: i64,
    share_ppm: i64,
    owed_ppm: [i64; 2],
}

impl Drop {
    fn withholds(&mut self, which: usize) -> bool {
        self.owed_ppm[which] += self.share_ppm;
        let withheld = self.owed_ppm[which] >= 1_000_000;
        if withheld {
            self.owed_ppm[which] -= 1_000_000;
        }
        withheld
    }
}

impl World {
    pub(super) fn plan_revenue_drop(&mut self, incident: usize, plan: &IncidentPlan) {
        let until = plan.at + plan.strength.pick(3, 2, 2) * DAY;
        self.conditions.drops.push(Drop {
            incident,
            from_ms: plan.at * 1_000,
            until_ms: until * 1_000,
            share_ppm: plan.strength.pick(250_000, 450_000, 800_000),
            owed_ppm: [0, 0],
        });
        self.extend_label(incident, until);
    }

    /// The incident that keeps this renewal from being collected in time, if any.
    pub(crate) fn withheld(&mut self, invoice: &Invoice) -> Option<usize> {
        if invoice.net30 || invoice.amount_due() == 0 {
            return None;
        }
        self.conditions.due_lost(self.now_ms)
    }
}

impl Conditions {
    fn lost(&mut self, now_ms: i64, which: usize) -> Option<usize> {
        let drop = self
            .drops
            .iter_mut()
            .find(|d| (d.from_ms..d.until_ms).contains(&now_ms))?;
        drop.withholds(which).then_some(drop.incident)
    }

    /// Whether what the merchant should collect now is not collected.
    pub(crate) fn due_lost(&mut self, now_ms: i64) -> Option<usize> {
        self.lost(now_ms, 1)
    }

    /// Whether a purchase does not happen now.
    pub(crate) fn purchase_lost(&mut self, now_ms: i64) -> Option<usize> {
        self.lost(now_ms, 0)
    }
}
