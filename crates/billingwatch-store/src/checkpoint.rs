//! Bringing SQLite's log into its file, beside the commits rather than in them.
//!
//! SQLite would do it at the end of whichever commit finds the log long enough, and everybody whose
//! event waits for that commit waits for some thousand scattered pages to reach the disk. Here a
//! thread with a connection of its own does it; commits go on, at the end of the log. What it cannot
//! do alone is let the log begin anew, for while it works the log grows: it goes over it until little
//! is left, and leaves that little to the next commit, after which the log is empty.
//!
//! What is durable when is not touched: a commit is synced in the log before it is over, and a page
//! of the file is written only from what is synced there (`synchronous = FULL` on every connection).
//!
//! The log is bounded by [`Bounds::most`], at which a commit waits for the thread and brings in what
//! is left, and one transaction. Only a reader that goes on for long keeps the log from beginning
//! anew: it grows as long as that reader reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::Integer;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::connection::{AnyConn, Manager};
use crate::error::Result;

/// Lengths of the log, in pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// So many that the file does not have yet are brought in.
    step: i32,
    /// So many a commit may bring in itself.
    little: i32,
    /// So long a log is to begin anew.
    long: i32,
    /// So long a log is brought in whoever waits.
    most: i32,
}

impl Default for Bounds {
    /// 16, 1, 32 and 128 MB of pages of 4 KiB.
    fn default() -> Self {
        Self {
            step: 4_000,
            little: 250,
            long: 8_000,
            most: 32_000,
        }
    }
}

/// After so long without a write the log's room on the disk is given back.
const IDLE: Duration = Duration::from_secs(5);

/// Keeps one file's log short.
pub(crate) struct Checkpoints {
    shared: Arc<Shared>,
    manager: Manager,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    bounds: Bounds,
    asked: Mutex<Asked>,
    changed: Condvar,
    /// Held while the thread brings pages in.
    pass: Mutex<()>,
    /// Little is left in a long log: the next commit is to bring it in.
    is_nearly_done: AtomicBool,
    /// Commits so far.
    commits: AtomicU64,
}

#[derive(Default)]
struct Asked {
    is_due: bool,
    is_over: bool,
}

/// How the log stands.
#[derive(Clone, Copy, Debug, QueryableByName)]
struct Log {
    /// Its pages, those that are in the file already included; −1 without a log.
    #[diesel(sql_type = Integer)]
    #[diesel(column_name = "log")]
    pages: i32,
    /// Those that are in the file.
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}

impl Log {
    /// Pages that the file does not have yet.
    const fn left(self) -> i32 {
        self.pages.saturating_sub(self.checkpointed)
    }
}

impl Checkpoints {
    pub(crate) fn new(manager: Manager, bounds: Bounds) -> Self {
        Self {
            shared: Arc::new(Shared {
                bounds,
                asked: Mutex::default(),
                changed: Condvar::new(),
                pass: Mutex::default(),
                is_nearly_done: AtomicBool::new(false),
                commits: AtomicU64::new(0),
            }),
            manager,
            thread: Mutex::default(),
        }
    }

    /// To be called by whoever may write, after each write, with the connection it was made on.
    ///
    /// A failure is logged and no more: the write is durable, and the log only grows.
    pub(crate) fn after_write(&self, conn: &mut AnyConn) {
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        let bounds = self.shared.bounds;
        let done = run(conn, "NOOP").and_then(|log| {
            if log.pages >= bounds.most {
                let _no_pass = lock(&self.shared.pass);
                run(conn, "PASSIVE")?;
            } else if self.shared.is_nearly_done.swap(false, Ordering::Relaxed) {
                run(conn, "PASSIVE")?;
            } else if log.left() >= bounds.step {
                self.ask();
            }
            Ok(())
        });
        if let Err(error) = done {
            tracing::warn!(store.error = %error, "the log could not be brought into the file");
        }
    }

    /// Wakes the thread; the first time, starts it.
    fn ask(&self) {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let manager = self.manager.clone();
            let builder = std::thread::Builder::new().name("checkpoint".to_owned());
            match builder.spawn(move || shared.work(&manager)) {
                Ok(started) => *thread = Some(started),
                // Commits bring the log in when it is at its bound.
                Err(error) => tracing::warn!(error = %error, "no thread for checkpoints"),
            }
        }
        lock(&self.shared.asked).is_due = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        lock(&self.shared.asked).is_over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            // It panics nowhere; and if it did, there is nothing left to be done.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self, manager: &Manager) {
        let mut conn = None;
        while self.wait_until_due(&mut conn) {
            let done = connection(&mut conn, manager).and_then(|conn| self.bring_in(conn));
            if let Err(error) = done {
                tracing::warn!(store.error = %error, "the log could not be brought into the file");
                conn = None;
            }
        }
    }

    /// Sleeps until there is something to do, and gives room back once nobody writes; `false` when
    /// the store is gone.
    fn wait_until_due(&self, conn: &mut Option<AnyConn>) -> bool {
        let mut commits = self.commits.load(Ordering::Relaxed);
        let mut is_given_back = false;
        let mut asked = lock(&self.asked);
        loop {
            if asked.is_over {
                return false;
            }
            if std::mem::take(&mut asked.is_due) {
                return true;
            }
            if is_given_back {
                asked = self
                    .changed
                    .wait(asked)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (guard, waited) = self
                .changed
                .wait_timeout(asked, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            asked = guard;
            let newest = self.commits.load(Ordering::Relaxed);
            if waited.timed_out() && newest == commits {
                drop(asked);
                // Refused when somebody writes or reads just now: then it is not idle.
                is_given_back = conn.as_mut().is_none_or(|conn| {
                    let done = run(conn, "TRUNCATE");
                    done.is_ok_and(|log| log.pages <= 0)
                });
                asked = lock(&self.asked);
            }
            commits = newest;
        }
    }

    /// Goes over the log until little is left of it, or no less than before.
    fn bring_in(&self, conn: &mut AnyConn) -> Result<()> {
        let mut left = i32::MAX;
        loop {
            {
                let _pass = lock(&self.pass);
                run(conn, "PASSIVE")?;
            }
            let log = run(conn, "NOOP")?;
            let is_little = log.left() <= self.bounds.little;
            if is_little || log.left() > left / 2 || lock(&self.asked).is_over {
                if log.pages >= self.bounds.long {
                    self.is_nearly_done.store(true, Ordering::Relaxed);
                }
                return Ok(());
            }
            left = log.left();
        }
    }
}

/// A connection that waits for nobody.
fn connection<'a>(slot: &'a mut Option<AnyConn>, manager: &Manager) -> Result<&'a mut AnyConn> {
    let conn = match slot.take() {
        Some(conn) => conn,
        None => {
            let mut conn = manager.open()?;
            if let AnyConn::Sqlite(conn) = &mut conn {
                conn.batch_execute("PRAGMA busy_timeout = 0; PRAGMA cache_size = -64;")?;
            }
            conn
        }
    };
    Ok(slot.insert(conn))
}

/// Runs a checkpoint; `NOOP` only tells how the log stands.
fn run(conn: &mut AnyConn, mode: &str) -> Result<Log> {
    match conn {
        AnyConn::Sqlite(conn) => {
            Ok(sql_query(format!("PRAGMA wal_checkpoint({mode})")).get_result(conn)?)
        }
        AnyConn::Postgresql(_) => Ok(Log {
            pages: 0,
            checkpointed: 0,
        }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;
    use crate::connection::{Role, transaction};
    use crate::url::Target;

    /// Pages that one of the tests' transactions adds to the log, at most.
    const TRANSACTION: i32 = 8;

    struct Written {
        _folder: tempfile::TempDir,
        conn: AnyConn,
        checkpoints: Checkpoints,
    }

    fn written(bounds: Bounds) -> Written {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/x.db", folder.path().display());
        let manager = Manager {
            target: Target::parse(&url).unwrap(),
            role: Role::Writer,
            timeout: Duration::from_secs(5),
        };
        let mut conn = manager.open().unwrap();
        execute(&mut conn, "CREATE TABLE t (x TEXT NOT NULL)");
        Written {
            _folder: folder,
            conn,
            checkpoints: Checkpoints::new(manager, bounds),
        }
    }

    fn execute(conn: &mut AnyConn, statement: &str) {
        if let AnyConn::Sqlite(conn) = conn {
            conn.batch_execute(statement).unwrap();
        }
    }

    impl Written {
        /// One durable row; how the log stands then.
        fn write(&mut self) -> Log {
            transaction(&mut self.conn, |conn| {
                execute(conn, "INSERT INTO t VALUES (hex(randomblob(1000)))");
                Ok(())
            })
            .unwrap();
            self.checkpoints.after_write(&mut self.conn);
            run(&mut self.conn, "NOOP").unwrap()
        }
    }

    /// However the thread fares.
    #[test]
    fn the_log_never_passes_its_bound_by_more_than_a_transaction() {
        let mut written = written(Bounds {
            step: 10,
            little: 2,
            long: 20,
            most: 40,
        });
        for _ in 0..500 {
            let log = written.write();
            assert!(log.pages <= 40 + TRANSACTION, "{log:?}");
        }
    }

    #[test]
    fn a_long_log_begins_anew_before_anybody_has_to_wait_for_it() {
        let mut written = written(Bounds {
            step: 50,
            little: 20,
            long: 100,
            most: i32::MAX,
        });
        let mut pages = 0;
        let began_anew = (0..1_000_000).any(|_| {
            let log = written.write();
            log.pages < std::mem::replace(&mut pages, log.pages)
        });
        assert!(began_anew);
    }

    #[test]
    fn a_short_log_starts_no_thread() {
        let mut written = written(Bounds::default());
        for _ in 0..20 {
            written.write();
        }
        assert!(lock(&written.checkpoints.thread).is_none());
    }
}
