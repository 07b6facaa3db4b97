//! What a stored event takes on the disk: the SQLite file after the events of an input, in the order
//! of receipt, divided by their number; keys, indexes and unfilled pages included.
//!
//! Goal: 1.1 KB for a body of 2.2 KB. The bodies are simulated, and the dictionary that they are
//! compressed against was trained on simulated ones of other seeds: real ones say more that no
//! dictionary knows.
//!
//! `cargo bench -p billingwatch-benches --bench disk`
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;

use billingwatch_benches::{Corpus, is_measured};
use billingwatch_core::stripe::payload::read_envelope;
use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::event_entry;
use billingwatch_store::{Backup, NewEntry, Store, StoreOptions};

/// Bytes an event.
const GOAL: u64 = 1_100;

/// The rows of a full batch, as the server's writer makes them.
const BATCH_ROWS: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let (saas_days, marketplace_days) = if is_measured() { (60, 10) } else { (2, 1) };
    for corpus in [
        Corpus::saas(saas_days)?,
        Corpus::marketplace(marketplace_days)?,
    ] {
        for (layout, is_indented) in [("compact", false), ("indented", true)] {
            measure(&corpus, layout, is_indented)?;
        }
    }
    Ok(())
}

fn measure(corpus: &Corpus, layout: &str, is_indented: bool) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = folder.path().join("disk.db");
    let store = Store::open(&StoreOptions::new(format!("sqlite://{}", path.display())))?;
    store.migrate()?;
    let mut body_bytes = 0;
    for batch in corpus.events.chunks(BATCH_ROWS) {
        let mut entries: Vec<NewEntry> = Vec::with_capacity(batch.len());
        for event in batch {
            let body = if is_indented {
                let value: serde_json::Value = serde_json::from_slice(&event.json)?;
                serde_json::to_vec_pretty(&value)?
            } else {
                event.json.clone()
            };
            entries.push(event_entry("default", read_envelope(&body)?, body));
        }
        let now = Timestamp::from_millis(batch.last().map_or(0, |event| event.received_at_ms));
        let appended = store.append(&entries, now)?;
        let new = entries
            .iter()
            .zip(&appended)
            .filter(|(_, row)| !row.is_duplicate);
        body_bytes += new.map(|(entry, _)| entry.body.len()).sum::<usize>();
    }
    let usage = store.usage()?;
    let events = u64::try_from(usage.iter().map(|row| row.events).sum::<i64>())?;
    let counted = u64::try_from(usage.iter().map(|row| row.size_bytes).sum::<i64>())?;
    // A second one, without a page unused: what is left to gain by tidying.
    let tidy = folder.path().join("tidy.db");
    if store.backup(&tidy)? != Backup::Written {
        return Err("no copy was written".into());
    }
    // The last connection to close brings the log into the file.
    drop(store);
    let per_event = |bytes: u64| bytes / events.max(1);
    let on_disk = per_event(std::fs::metadata(&path)?.len());
    println!(
        "{:<12} {layout:<9} {events:>7} events, bodies of {:>5} bytes: {on_disk:>5} bytes on disk \
         ({:.2} × the goal of {GOAL}), {:>5} in a copy, {:>5} as retention counts",
        corpus.name,
        per_event(u64::try_from(body_bytes)?),
        f64::from(u32::try_from(on_disk)?) / f64::from(u32::try_from(GOAL)?),
        per_event(std::fs::metadata(&tidy)?.len()),
        per_event(counted),
    );
    Ok(())
}
