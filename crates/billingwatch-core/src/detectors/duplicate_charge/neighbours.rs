//! Which payments of a set are taken for one.

use std::collections::BTreeSet;

use crate::detector::Context;
use crate::ids::Key;
use crate::time::Span;

use super::group::Set;
use super::habit::BOUGHT_AGAIN;
use super::paid::{Paid, Surroundings, Verdict, compare};
use super::{DuplicateCharge, NEIGHBOURS_MAX};

impl DuplicateCharge {
    /// How two payments of a set stand to each other.
    pub(super) fn compare(
        &self,
        set: &Set,
        key: Key,
        a: &Paid,
        b: &Paid,
        ctx: &Context<'_>,
    ) -> Verdict {
        let is_in_order = a.place_in_time() <= b.place_in_time();
        let (first, second) = if is_in_order { (a, b) } else { (b, a) };
        let refund = self.refunds.get(first.charge);
        let around = Surroundings {
            refunded_at: refund
                .filter(|(_, total)| *total >= set.amount)
                .map(|(at, _)| *at),
            bills: &self.bills,
            invoices: self.invoices.get(key).map_or(&[], |known| known),
        };
        let verdict = compare(first, second, &around, ctx);
        if verdict != Verdict::Twins {
            return verdict;
        }
        let apart = second.at.since(first.at);
        match self.habit.of(apart, second.at) {
            None => verdict,
            Some(habit) => Verdict::Apart(BOUGHT_AGAIN, habit.to_string()),
        }
    }

    /// The places of those within the window of one.
    pub(super) fn neighbours<'a>(
        &self,
        set: &'a Set,
        place: usize,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let window = Span::secs(self.settings.window_secs);
        let at = set.paid[place].at;
        let before = (0..place).rev().take(NEIGHBOURS_MAX);
        let after = (place + 1..set.paid.len()).take(NEIGHBOURS_MAX);
        let before = before.take_while(move |near| at.since(set.paid[*near].at) <= window);
        let after = after.take_while(move |near| set.paid[*near].at.since(at) <= window);
        before.chain(after)
    }

    /// Payments taken for one, around a place and the group it belongs to: each a list of places.
    pub(super) fn components(
        &self,
        set: &Set,
        key: Key,
        place: usize,
        group: Option<&str>,
        ctx: &Context<'_>,
    ) -> Vec<Vec<usize>> {
        if group.is_none() && set.paid.len() == 1 {
            return Vec::new();
        }
        let mut starts = vec![place];
        if let Some(group) = group.and_then(|name| self.groups.get(name)) {
            let places = group.members.iter();
            starts.extend(places.filter_map(|member| set.place(member.charge)));
        }
        let mut seen = BTreeSet::new();
        let mut components = Vec::new();
        for start in starts {
            if !seen.insert(start) {
                continue;
            }
            let mut members = vec![start];
            let mut next = 0;
            while let Some(one) = members.get(next).copied() {
                next += 1;
                for near in self.neighbours(set, one) {
                    let is_twin = || {
                        let (a, b) = (&set.paid[one], &set.paid[near]);
                        self.compare(set, key, a, b, ctx) == Verdict::Twins
                    };
                    if !seen.contains(&near) && is_twin() {
                        seen.insert(near);
                        members.push(near);
                    }
                }
            }
            if members.len() > 1 {
                members.sort_unstable();
                components.push(members);
            }
        }
        components
    }

    /// Learns from a payment that was just taken in how often the same is bought again here.
    pub(super) fn learn_habit(&mut self, charge: Key, ctx: &Context<'_>) {
        let set = self
            .set_of
            .get(&charge)
            .and_then(|key| Some((*key, self.sets.get(key)?)));
        let Some((key, set)) = set else { return };
        let Some(place) = set.place(charge) else {
            return;
        };
        let paid = &set.paid[place];
        let at = paid.at;
        let apart = self.neighbours(set, place).find_map(|near| {
            let near = &set.paid[near];
            let is_again = match self.compare(set, key, paid, near, ctx) {
                Verdict::Twins => true,
                Verdict::Apart(word, _) => word == BOUGHT_AGAIN,
                Verdict::Open => false,
            };
            is_again.then(|| at.since(near.at).max(near.at.since(at)))
        });
        self.habit.note(at, apart);
    }

    /// The same from what is given back: what is bought again on purpose is kept.
    pub(super) fn learn_return(&mut self, charge: Key, total: i64) {
        let Some(set) = self.set_of.get(&charge).and_then(|key| self.sets.get(key)) else {
            return;
        };
        let known = self.refunds.get(charge).map_or(0, |(_, total)| *total);
        let is_new = total >= set.amount && known < set.amount;
        let Some(place) = set.place(charge).filter(|_| is_new) else {
            return;
        };
        let at = set.paid[place].at;
        let near = self.neighbours(set, place).next();
        let apart = near
            .map(|near| set.paid[near].at)
            .map(|near| at.since(near).max(near.since(at)));
        if let Some(apart) = apart {
            self.habit.note_return(at, apart);
        }
    }
}
