//! Card testing: how it is told, and how it ends.

use crate::detector::Context;
use crate::time::Span;

use super::judge::{self, Verdict, signs};
use super::recovery::Course;
use super::{ChargeFailureSpike, Incident, TESTING_QUIET};

impl ChargeFailureSpike {
    /// Whether the window holds nothing of an attack that was told as a spike and is over.
    pub(super) fn is_untold(&self, verdict: &Verdict) -> bool {
        self.minutes.newest_at() - verdict.window >= self.attack_told_until
    }

    /// Whether failures that would make a spike bear the signs of card testing: most of the cards
    /// tried fail, too. Declines as guessed cards get them, and a few blocks, are what any checkout has.
    pub(super) fn is_attack(&self, verdict: &Verdict) -> bool {
        self.spike.is_none()
            && !verdict.is_technical
            && verdict.sums.checkout.failed > verdict.sums.renewal.failed
            && 2 * verdict.sums.cards >= verdict.sums.tries()
            && signs(&verdict.sums) >= 2
    }

    pub(super) fn open_testing(&mut self, verdict: &Verdict, ctx: &mut Context<'_>) {
        let severity = judge::testing_severity(&verdict.sums);
        let is_news = self.testing.is_none_or(|known| severity > known.severity);
        if !is_news {
            return;
        }
        let since = self.minutes.newest_at() - verdict.window;
        let known = self.testing.get_or_insert(Incident {
            severity,
            opened_at: ctx.now(),
            since,
            usual: verdict.usual.share,
            unreported: verdict.sums.cards,
            is_testing: true,
            is_cold: false,
            course: Course::default(),
        });
        known.severity = severity;
        for minute in self.minutes.since_mut(since) {
            minute.is_tainted = true;
            minute.is_attack = true;
        }
        self.report_testing(verdict.window, Some(verdict.chance), ctx);
    }

    pub(super) fn tick_testing(&mut self, ctx: &mut Context<'_>) {
        let Some(incident) = self.testing else {
            return;
        };
        let newest_at = self.minutes.newest_at();
        if newest_at.since(incident.opened_at) >= TESTING_QUIET && self.bench(ctx).is_testing_over()
        {
            self.testing = None;
            let reason = format!("no more cards than usual were tried in vain for {TESTING_QUIET}");
            ctx.clear("card_testing", reason);
        } else if incident.unreported > 0 {
            self.look(ctx);
            self.report_testing(Span::secs(self.settings.window_secs), None, ctx);
        }
    }
}
