//! One kind of events stops while others go on: a whole family, or one type of it.

use crate::alert::{Finding, Measure, Severity, Unit, anomaly_score};
use crate::detector::Context;
use crate::intake::{Trouble, TroubleKind};
use crate::money::share_bps;

use super::super::words::{bps_of, percent, rounded};
use super::pairs::{LASTING, Loss};
use super::{WebhookLag, foretold};

/// The key of the alert.
const FAMILIES: &str = "families";

impl WebhookLag {
    /// Families that fell silent, as the intake sees them.
    pub(super) fn watch_families(&mut self, ctx: &mut Context<'_>) {
        let bits = u64::from(ctx.intake().silent_families());
        if bits == self.families_told {
            return;
        }
        let is_more = bits & !self.families_told != 0;
        self.families_told = bits;
        if is_more {
            self.tell_kinds(ctx);
        }
        self.clear_kinds(ctx);
    }

    /// Types that get lost while their partners come.
    pub(super) fn watch_pairs(&mut self, ctx: &mut Context<'_>) {
        let (is_watched, chance_max) = (
            self.settings.is_type_loss_watched,
            super::super::words::as_f64(self.settings.chance_ppm_max.unsigned_abs()) / 1e6,
        );
        let unreported = self.pairs.tick(chance_max, ctx);
        if let Some(unreported @ 1..) = unreported.filter(|_| is_watched) {
            self.are_losses_told = true;
            self.unreported_lost = unreported;
            self.tell_kinds(ctx);
        }
        if self.are_losses_told && !self.pairs.is_any() {
            self.are_losses_told = false;
            self.clear_kinds(ctx);
        }
    }

    fn tell_kinds(&mut self, ctx: &mut Context<'_>) {
        let silent: Vec<&Trouble> = ctx.intake().family_troubles().collect();
        let losses = if self.are_losses_told {
            self.pairs.losses()
        } else {
            Vec::new()
        };
        let mut finding = finding(&silent, &losses, ctx);
        finding.occurrences = std::mem::take(&mut self.unreported_lost);
        ctx.fire(finding);
    }

    /// One alert is about all kinds: it ends with the last of them.
    fn clear_kinds(&self, ctx: &mut Context<'_>) {
        if self.families_told == 0 && !self.are_losses_told {
            let reason = if self.pairs.is_lasting() {
                format!("it has been so for {LASTING}: taken for how this endpoint is set up")
            } else {
                format!("they arrive again since {}", ctx.now())
            };
            ctx.clear(FAMILIES, reason);
        }
    }
}

fn finding(silent: &[&Trouble], losses: &[Loss], ctx: &Context<'_>) -> Finding {
    let is_whole = !silent.is_empty() || losses.iter().any(|loss| loss.missed == loss.all);
    let title = match (is_whole, silent.is_empty()) {
        (true, false) => "One kind of events has stopped arriving",
        (true, true) => "One type of events has stopped arriving",
        (false, _) => "Events of one type get lost",
    };
    let mut finding = Finding::new(FAMILIES, Severity::High, title);
    let mut chance: f64 = 1.0;
    let mut parts = Vec::new();
    for trouble in silent {
        let TroubleKind::FamilySilence(family) = trouble.kind else {
            continue;
        };
        let silent = ctx.now().since(trouble.since);
        let prefix = family.prefix();
        let mut part = format!("no {prefix}.* for {silent} (since {})", trouble.since);
        if let Some(pause) = ctx.intake().pause_of(family) {
            let expected = rounded(pause.expected);
            chance = chance.min(pause.chance);
            part += &format!(", where {expected} minutes with some were to be expected");
            finding.evidence.reasons.push(format!(
                "such a silence of {prefix}.* comes by chance with probability {:.1e}",
                pause.chance
            ));
            let silence = format!("the silence of {prefix}.*");
            finding.evidence.reasons.extend(foretold(&pause, &silence));
        }
        finding.evidence.measures.push(
            Measure::new(
                &format!("silence.{prefix}"),
                silent.as_secs(),
                Unit::Seconds,
            )
            .expected(0),
        );
        parts.push(part);
    }
    for loss in losses {
        chance = chance.min(loss.chance);
        parts.push(part_of(loss));
        describe(loss, &mut finding);
    }
    finding.anomaly_score = anomaly_score(chance);
    finding.message = format!("{}; other events go on", parts.join("; "));
    let advice = if silent.is_empty() {
        "check which events the endpoint is subscribed to, and what on the way to here drops some; \
         the payments themselves are known by the events that came"
    } else {
        "check which events the endpoint is subscribed to, and whether customers can still pay"
    };
    finding.evidence.reasons.push(advice.to_owned());
    finding
}

fn part_of(loss: &Loss) -> String {
    format!(
        "{} of {} {} came without their {} (since {}), where {} usually do",
        loss.missed,
        loss.all,
        loss.other,
        loss.name,
        loss.since,
        percent(bps_of(loss.usual)),
    )
}

fn describe(loss: &Loss, finding: &mut Finding) {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (missed, all) = (count(loss.missed), count(loss.all));
    finding.evidence.measures.push(
        Measure::new(&format!("seen.{}", loss.name), all - missed, Unit::Count).expected(all),
    );
    finding.evidence.measures.push(
        Measure::new(
            &format!("lost_share.{}", loss.name),
            share_bps(missed, all),
            Unit::BasisPoints,
        )
        .expected(bps_of(loss.usual)),
    );
    finding.evidence.reasons.push(format!(
        "so many without {} come by chance with probability {:.1e}",
        loss.name, loss.chance
    ));
}
