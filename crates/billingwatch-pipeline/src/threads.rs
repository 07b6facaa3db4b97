//! A thread for each loop, at work from the start or from when the store is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::runtime::StartError;
use crate::supervise::{LoopControl, Next};

/// Open once the store is ready for every loop.
pub(crate) type Gate = Arc<AtomicBool>;

/// What makes it ready.
pub(crate) type Prepare = Box<dyn FnMut() -> Result<(), StartError> + Send>;

/// How often a loop looks whether the gate is open.
const GATE_POLL: Duration = Duration::from_millis(100);

/// Gives a loop a thread.
pub(crate) fn spawn(
    control: Arc<LoopControl>,
    step: impl FnMut() -> Next + Send + 'static,
) -> Result<(), StartError> {
    let name = control.status().name;
    // Detached on purpose: a thread that hangs in a send must not keep the process from ending.
    // `LoopControl::wait_ended` is how an orderly end is seen.
    let _detached = thread::Builder::new()
        .name(name)
        .spawn(move || control.run(step))?;
    Ok(())
}

/// Gives a loop a thread that makes no step before the gate is open.
pub(crate) fn spawn_behind(
    gate: &Gate,
    control: Arc<LoopControl>,
    mut step: impl FnMut() -> Next + Send + 'static,
) -> Result<(), StartError> {
    let (gate, asked) = (Arc::clone(gate), Arc::clone(&control));
    spawn(control, move || {
        if gate.load(Ordering::SeqCst) {
            step()
        } else if asked.is_stopping() {
            Next::Done
        } else {
            Next::Pause(GATE_POLL)
        }
    })
}
