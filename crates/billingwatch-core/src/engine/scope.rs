//! One scope's detectors, ledger, alerts and memory of event ids.

use serde::{Deserialize, Serialize};

use crate::alert::{AlertChange, Suppressed};
use crate::calendar::Calendar;
use crate::detector::{Context, Detector, DetectorSpec, Output, SettingKind, SettingsError};
use crate::detectors;
use crate::event::{Event, FamilySet};
use crate::ids::Scope;
use crate::intake::Intake;
use crate::ledger::{Fact, Generations, Ledger};
use crate::time::{Span, Timestamp};

use super::book::{Book, Verdict};
use super::settings::SettingsTable;
use super::{Registry, SnapshotError};

/// Ids are remembered for this long to twice as long: Stripe retries for 3 days and lets people
/// resend for 30.
const IDS_HALF_LIFE: Span = Span::days(31);

/// At most twice so many ids are remembered. The journal refuses duplicates for ever; this memory
/// serves replays and embedders.
const IDS_HALF_MAX: usize = 2_000_000;

/// The setting of a detector that says whether Stripe's test mode is judged: what is made there on purpose, as declines by test
/// cards, or disputes, is nobody's trouble. Detectors without it judge test mode like any other.
const TEST_MODE: &str = "test_mode";

pub(super) struct ScopeState {
    slots: Vec<Slot>,
    calendar: Calendar,
    /// A live event was taken in: from here on findings are told.
    has_live: bool,
    ledger: Ledger,
    intake: Intake,
    seen: Generations<()>,
    pub(super) book: Book,
    facts: Vec<Fact>,
    outputs: Vec<Output>,
}

struct Slot {
    name: &'static str,
    listens: FamilySet,
    is_enabled: bool,
    /// Where it has a setting [`TEST_MODE`], what that is if nothing is set.
    test_mode: Option<bool>,
    /// It is enabled, and leaves this scope out because that is Stripe's test mode.
    leaves_out_test: bool,
    /// It panicked: its state cannot be trusted, so it is left out until the engine is rebuilt.
    is_broken: bool,
    detector: Box<dyn Detector>,
}

impl Slot {
    /// Whether there is anything to hand in: seldom.
    const fn has_output(&self, ctx: &Context<'_>) -> bool {
        self.is_broken || !ctx.outputs.is_empty()
    }

    /// Hands what the detector put out to the book.
    fn hand_in(
        &self,
        ctx: &mut Context<'_>,
        book: &mut Book,
        changes: &mut Vec<AlertChange>,
        suppressed: &mut Vec<Suppressed>,
    ) {
        if self.is_broken {
            tell_broken(self.name, ctx.outputs);
        }
        let verdict = Verdict {
            detector: self.name,
            scope: ctx.scope,
            now: ctx.now,
            is_historical: ctx.is_historical,
        };
        book.judge(&verdict, ctx.outputs, changes, suppressed);
    }

    const fn is_at_work(&self) -> bool {
        self.is_enabled && !self.leaves_out_test && !self.is_broken
    }
}

/// A scope's state on its way into a snapshot: read as a [`SavedScope`].
#[derive(Serialize)]
pub(super) struct SavingScope<'a> {
    has_live: bool,
    ledger: &'a Ledger,
    intake: &'a Intake,
    seen: &'a Generations<()>,
    book: &'a Book,
    detectors: Vec<(bool, Vec<u8>)>,
}

/// A scope's state in a snapshot.
#[derive(Deserialize)]
pub(super) struct SavedScope {
    has_live: bool,
    ledger: Ledger,
    intake: Intake,
    seen: Generations<()>,
    book: Book,
    detectors: Vec<(bool, Vec<u8>)>,
}

impl ScopeState {
    pub(super) fn new(registry: &Registry, settings: &SettingsTable, scope: &Scope) -> Self {
        let slots = registry
            .factories()
            .iter()
            .map(|factory| Slot {
                name: factory.spec().name,
                listens: factory.spec().listens,
                is_enabled: true,
                test_mode: test_mode_of(factory.spec()),
                leaves_out_test: false,
                is_broken: false,
                detector: factory.build(),
            })
            .collect();
        let mut state = Self {
            slots,
            calendar: registry.calendar().clone(),
            has_live: false,
            ledger: Ledger::default(),
            intake: Intake::default(),
            seen: Generations::new(IDS_HALF_LIFE, IDS_HALF_MAX),
            book: Book::default(),
            facts: Vec::new(),
            outputs: Vec::new(),
        };
        // The table holds checked values only; a refusal leaves that detector at its defaults.
        let _ = state.configure(settings, scope);
        state
    }

    pub(super) fn configure(
        &mut self,
        settings: &SettingsTable,
        scope: &Scope,
    ) -> Result<(), SettingsError> {
        let source = &scope.source;
        let (_, delivery) = settings.of(detectors::DELIVERY, source);
        self.intake
            .configure(detectors::delivery_criteria(&delivery), &self.calendar);
        for slot in &mut self.slots {
            let (is_enabled, values) = settings.of(slot.name, source);
            slot.is_enabled = is_enabled;
            let judges_test = slot
                .test_mode
                .map(|default| values.bool(TEST_MODE, default));
            slot.leaves_out_test = is_enabled && !scope.livemode && judges_test == Some(false);
            slot.detector.configure(&values)?;
        }
        Ok(())
    }

    /// Takes in an event; false when its id was seen before.
    pub(super) fn event(
        &mut self,
        scope: &Scope,
        event: &Event,
        now: Timestamp,
        is_historical: bool,
        changes: &mut Vec<AlertChange>,
        suppressed: &mut Vec<Suppressed>,
    ) -> bool {
        if !self.seen.tell_once(event.id.key()) {
            return false;
        }
        self.has_live |= !is_historical;
        if !scope.livemode && self.seen.len() == 1 {
            self.tell_left_out(scope, now, suppressed);
        }
        let event_at = event.created.min(now);
        let family = event.event_type.family();
        if is_historical {
            self.intake.teach(family, event_at);
        } else {
            self.intake.arrive(now, event_at, family);
        }
        self.facts.clear();
        self.ledger.learn(event, event_at, &mut self.facts);
        let mut ctx = Context {
            now,
            event_at,
            is_historical,
            scope,
            calendar: &self.calendar,
            ledger: &self.ledger,
            intake: &self.intake,
            facts: &self.facts,
            outputs: &mut self.outputs,
        };
        take_turns(&mut self.slots, |slot, is_detector_at_work| {
            if slot.listens.contains(family) {
                if !slot.is_broken {
                    slot.detector.event(event, &mut ctx);
                }
                *is_detector_at_work = false;
                if slot.has_output(&ctx) {
                    slot.hand_in(&mut ctx, &mut self.book, changes, suppressed);
                }
            }
        });
        true
    }

    pub(super) fn tick(
        &mut self,
        scope: &Scope,
        now: Timestamp,
        changes: &mut Vec<AlertChange>,
        suppressed: &mut Vec<Suppressed>,
    ) {
        let is_historical = !self.has_live;
        self.seen.advance_to(now);
        self.ledger.advance_to(now);
        self.intake.tick(now, self.ledger.renewals());
        self.book.advance_to(now);
        let mut ctx = Context {
            now,
            event_at: now,
            is_historical,
            scope,
            calendar: &self.calendar,
            ledger: &self.ledger,
            intake: &self.intake,
            facts: &[],
            outputs: &mut self.outputs,
        };
        take_turns(&mut self.slots, |slot, is_detector_at_work| {
            if !slot.is_broken {
                slot.detector.tick(&mut ctx);
            }
            *is_detector_at_work = false;
            if slot.has_output(&ctx) {
                slot.hand_in(&mut ctx, &mut self.book, changes, suppressed);
            }
        });
    }

    /// Says once, where harmless findings are read, who leaves this scope's test mode out.
    fn tell_left_out(&self, scope: &Scope, now: Timestamp, suppressed: &mut Vec<Suppressed>) {
        let left_out = self.slots.iter().filter(|slot| slot.leaves_out_test);
        suppressed.extend(left_out.map(|slot| Suppressed {
            at: now,
            detector: slot.name.to_owned(),
            scope: scope.clone(),
            reason: TEST_MODE.to_owned(),
            subject: None,
            message: format!(
                "{} does not judge Stripe's test mode, where such things are made on purpose; its setting `{TEST_MODE}` \
                 has it do so",
                slot.name
            ),
        }));
    }

    pub(super) fn save(&self) -> Result<SavingScope<'_>, SnapshotError> {
        let mut detectors = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            detectors.push((slot.is_broken, slot.detector.snapshot()?));
        }
        Ok(SavingScope {
            has_live: self.has_live,
            ledger: &self.ledger,
            intake: &self.intake,
            seen: &self.seen,
            book: &self.book,
            detectors,
        })
    }

    pub(super) fn load(
        registry: &Registry,
        settings: &SettingsTable,
        scope: &Scope,
        saved: SavedScope,
    ) -> Result<Self, SnapshotError> {
        let mut state = Self::new(registry, settings, scope);
        if saved.detectors.len() != state.slots.len() {
            return Err(SnapshotError::Detectors);
        }
        for (slot, (is_broken, bytes)) in state.slots.iter_mut().zip(&saved.detectors) {
            slot.is_broken = *is_broken;
            slot.detector.restore(bytes)?;
        }
        state.has_live = saved.has_live;
        state.ledger = saved.ledger;
        state.intake = saved.intake;
        let (_, delivery) = settings.of(detectors::DELIVERY, &scope.source);
        state
            .intake
            .configure(detectors::delivery_criteria(&delivery), &state.calendar);
        state.seen = saved.seen;
        state.book = saved.book;
        Ok(state)
    }
}

/// What [`TEST_MODE`] is for such a detector if nothing is set; `None` where it has no such setting.
fn test_mode_of(spec: &DetectorSpec) -> Option<bool> {
    spec.settings.iter().find_map(|setting| match setting.kind {
        SettingKind::Bool { default } if setting.name == TEST_MODE => Some(default),
        _ => None,
    })
}

/// Gives each detector that is at work its turn, in which it works and hands in what it found. A panic in one costs this
/// detector, not the engine: it gets a turn more, broken, to hand in that it is out.
///
/// All are guarded at once, as to guard each by itself costs more than most have to do.
fn take_turns(slots: &mut [Slot], mut turn: impl FnMut(&mut Slot, &mut bool)) {
    let (mut place, mut is_detector_at_work) = (0, false);
    loop {
        let turns = std::panic::AssertUnwindSafe(|| {
            for slot in slots.get_mut(place..).unwrap_or_default() {
                if slot.is_at_work() {
                    is_detector_at_work = true;
                    turn(slot, &mut is_detector_at_work);
                }
                place += 1;
            }
        });
        let Err(panic) = std::panic::catch_unwind(turns) else {
            return;
        };
        let Some(slot) = slots.get_mut(place).filter(|_| is_detector_at_work) else {
            // None of its doing.
            std::panic::resume_unwind(panic);
        };
        slot.is_broken = true;
        turn(slot, &mut is_detector_at_work);
        place += 1;
    }
}

/// Says once, where harmless findings are read, that a detector is out.
fn tell_broken(name: &str, outputs: &mut Vec<Output>) {
    outputs.clear();
    outputs.push(Output::Suppress {
        reason: "detector_panicked",
        subject: None,
        message: format!(
            "{name} panicked and is left out in this scope until the engine is rebuilt"
        ),
    });
}
