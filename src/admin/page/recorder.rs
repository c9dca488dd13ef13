//! Looks at the running proxy at intervals, keeps the last hour, and tells browsers what has changed.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::page_view::{Histories, PageView};
use crate::admin::stats::Stats;
use crate::admin::status::ListedNames;
use crate::tasks::{Shutdown, Tasks};

/// Time between two looks while a browser shows the page.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks while none does.
const UNSEEN_LOOK_EVERY: Duration = Duration::from_secs(20);
/// Least time between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Time between two looks at names, which read storage, while a browser shows the page.
const NAMES_EVERY: Duration = Duration::from_secs(15);
/// Time between two looks at names while none does.
const UNSEEN_NAMES_EVERY: Duration = Duration::from_secs(60);
/// Most names that the page shows.
const LISTED_NAMES: usize = 2_000;
/// Length of a minute of the history.
const MINUTE: Duration = Duration::from_secs(60);
/// Messages that a browser may be behind. One that is further behind begins anew.
const MESSAGES_BEHIND: usize = 16;

/// The recorder of one proxy. It records until the last clone is gone.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Message with the whole view, for browsers that come now.
    view: Mutex<PageView>,
    /// Messages for browsers, as they are sent.
    messages: broadcast::Sender<Bytes>,
    /// Wakes the recorder before its time.
    wake: Arc<Notify>,
    /// `true` if a name has changed, so that the next look must include names.
    must_look_at_names: AtomicBool,
}

/// Messages for a browser: one with the whole view, and those with the changes from then on.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) whole: Bytes,
    pub(super) changes: broadcast::Receiver<Bytes>,
}

impl Recorder {
    /// Begins to record `stats`, in one of `tasks`.
    #[must_use]
    pub fn start(stats: Stats, tasks: &Tasks) -> Self {
        let shared = Arc::new(Shared {
            view: Mutex::default(),
            messages: broadcast::channel(MESSAGES_BEHIND).0,
            wake: Arc::default(),
            must_look_at_names: AtomicBool::new(true),
        });
        let recording = Recording {
            shared: Arc::downgrade(&shared),
            stats,
            histories: Histories::default(),
            view: PageView::default(),
            minute_ends: Instant::now() + MINUTE,
            names_at: None,
        };
        tasks.spawn(recording.run(Arc::clone(&shared.wake), tasks.shutdown()));
        Self(shared)
    }

    /// Returns the view of this moment and what changes in it. A look follows at once, since nobody may have looked for a while.
    /// `None` if the view cannot be written.
    pub(super) async fn subscribe(&self) -> Option<Subscription> {
        let (view, changes) = loop {
            let mut changes = {
                let view = self.0.view.lock();
                let changes = self.0.messages.subscribe();
                if !view.is_empty() {
                    break (view.clone(), changes);
                }
                changes
            };
            // The first look is under way.
            changes.recv().await.ok()?;
        };
        self.0.wake.notify_one();
        // Off this runtime, since it may be long.
        let whole = spawn_blocking(move || message("whole", &view.whole()));
        Some(Subscription {
            whole: whole.await.ok()?,
            changes,
        })
    }

    /// Says that the state of a name has changed.
    pub(super) fn note_changed_name(&self) {
        self.0.must_look_at_names.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }
}

/// The recorder at work.
struct Recording {
    shared: Weak<Shared>,
    stats: Stats,
    histories: Histories,
    view: PageView,
    minute_ends: Instant,
    /// Time of the last look at names.
    names_at: Option<Instant>,
}

impl Recording {
    async fn run(mut self, wake: Arc<Notify>, shutdown: Shutdown) {
        let looking = async {
            loop {
                let Some(is_seen) = self.look().await else {
                    return;
                };
                let now = Instant::now();
                let every = if is_seen {
                    LOOK_EVERY
                } else {
                    UNSEEN_LOOK_EVERY
                };
                sleep_until(now + LOOK_PAUSE).await;
                tokio::select! {
                    () = sleep_until((now + every).min(self.minute_ends)) => {}
                    () = wake.notified() => {}
                }
            }
        };
        tokio::select! {
            () = looking => {}
            () = shutdown.requested() => {}
        }
    }

    /// Looks once, and tells all browsers. Returns `true` if there are any, and `None` if nobody can come any more.
    async fn look(&mut self) -> Option<bool> {
        let is_seen = self.shared.upgrade()?.messages.receiver_count() > 0;
        let names = self.names(is_seen).await;
        let ends_minute = Instant::now() >= self.minute_ends;
        let (earlier, mut histories) = (mem::take(&mut self.view), mem::take(&mut self.histories));
        let stats = self.stats.clone();
        // Off this runtime, which must answer challenges on port 80 meanwhile.
        let looked = spawn_blocking(move || {
            let now = seconds_since_1970();
            let mut view = earlier.look(&stats, names, &mut histories, now);
            let mut messages = vec![view.changes(&earlier, &mut histories, ends_minute)];
            if ends_minute {
                view.end_minute(&mut histories);
                let next = view.look(&stats, None, &mut histories, now);
                messages.push(next.changes(&view, &mut histories, false));
                view = next;
            }
            (view, histories, messages)
        });
        let messages;
        (self.view, self.histories, messages) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                debug!(%error, "the page begins anew");
                Default::default()
            }
        };
        if ends_minute {
            self.minute_ends = (self.minute_ends + MINUTE).max(Instant::now());
        }
        let shared = self.shared.upgrade()?;
        let mut view = shared.view.lock();
        view.clone_from(&self.view);
        for changes in messages {
            // An error says that there is no browser.
            let _ = shared.messages.send(message("changes", &changes));
        }
        Some(is_seen)
    }

    /// Looks at the names, if that is due.
    async fn names(&mut self, is_seen: bool) -> Option<ListedNames> {
        let shared = self.shared.upgrade()?;
        let every = if is_seen {
            NAMES_EVERY
        } else {
            UNSEEN_NAMES_EVERY
        };
        let must_look = shared.must_look_at_names.swap(false, Ordering::AcqRel);
        if !must_look && self.names_at.is_some_and(|at| at.elapsed() < every) {
            return None;
        }
        drop(shared);
        self.names_at = Some(Instant::now());
        Some(ListedNames::all(&self.stats.manager, LISTED_NAMES).await)
    }
}

/// Returns a message for browsers (HTML, server-sent events). JSON has no line breaks.
fn message(event: &str, json: &str) -> Bytes {
    format!("event: {event}\ndata: {json}\n\n").into()
}

fn seconds_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
