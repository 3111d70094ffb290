//! Panics of the process: those that are caught here stay here, and observers are told of the
//! others.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once, PoisonError, RwLock, TryLockError, Weak};
use std::thread;

/// How many bytes of a panic's message are kept.
const MOST_MESSAGE: usize = 64 << 10;
/// Prefix of the names of the journal's own threads: their panics are reported where they are
/// caught.
const OWN: &str = "annals-";

thread_local! {
    /// How many calls of [`caught`] this thread is in.
    static CAUGHT: Cell<u32> = const { Cell::new(0) };
    /// The last panic of this thread.
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

static OBSERVERS: RwLock<Vec<Weak<dyn PanicObserver>>> = RwLock::new(Vec::new());
static HOOK: Once = Once::new();
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// Told of every panic of the process that is not caught here.
pub(crate) trait PanicObserver: Send + Sync {
    /// Notes `panic`. The returned closure runs when all observers have noted it: it may wait.
    fn note(&self, panic: &Panic) -> Option<Box<dyn FnOnce()>>;
}

/// Content of a panic for the hook, as text.
#[derive(Clone)]
pub(crate) struct Panic {
    /// Counts the panics of the process, so that a journal records each once.
    pub(crate) number: u64,
    pub(crate) message: String,
    pub(crate) location: String,
    pub(crate) thread: String,
}

impl Panic {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let location = info.location().map(ToString::to_string);
        Panic {
            location: location.unwrap_or_else(|| "unknown".to_owned()),
            ..Panic::with(&said(info.payload()))
        }
    }

    /// A panic of this thread of which only the message is known.
    pub(crate) fn with(message: &str) -> Self {
        let mut end = message.len().min(MOST_MESSAGE);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        Panic {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            message: message[..end].to_owned(),
            location: "unknown".to_owned(),
            thread: thread::current().name().unwrap_or("unnamed").to_owned(),
        }
    }

    /// Whether a thread of the journal itself panicked.
    pub(crate) fn is_own(&self) -> bool {
        self.thread.starts_with(OWN)
    }
}

/// Whether the panic that this thread is in belongs to a call that annals catches and answers with
/// an error. For panic hooks that are set while a journal is open.
///
/// The storage engine panics on some damaged files; that is
/// [`Error::Corrupt`](crate::Error::Corrupt) for the caller. Opening a journal puts a hook before
/// the one that was set: it keeps such panics from it and passes all others on. A hook that is set
/// later, and does not call the one before, meets them and can ask here. Always false where panics
/// abort.
///
/// ```
/// std::panic::set_hook(Box::new(|panic| {
///     if !annals::health::is_caught_panic() {
///         eprintln!("this ends the process: {panic}");
///     }
/// }));
/// # let _ = std::panic::take_hook();
/// ```
#[must_use]
pub fn is_caught_panic() -> bool {
    let depth = CAUGHT.try_with(Cell::get);
    cfg!(panic = "unwind") && depth.is_ok_and(|depth| depth > 0)
}

/// Puts the hook before the one that is set now, once in the life of the process.
pub(crate) fn install() {
    // A thread that unwinds may not change the hook; the next call does.
    if HOOK.is_completed() || thread::panicking() {
        return;
    }
    HOOK.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if is_caught_panic() {
                return;
            }
            let panic = Panic::of(info);
            tell_all(&panic);
            // A thread at its end has no place for it.
            let _ = LAST.try_with(|last| {
                if let Ok(mut last) = last.try_borrow_mut() {
                    *last = Some(panic);
                }
            });
            earlier(info);
        }));
    });
}

/// Runs `body`; a panic of it ends here, with its message, and does not reach the hook that the
/// application has set. Has no effect where panics abort.
pub(crate) fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    install();
    let _mark = CaughtScope::set();
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| said(&*panic))
}

/// Message of a panic's payload.
pub(crate) fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("no message").to_owned()
}

/// While it lives, panics of this thread are caught by annals.
struct CaughtScope;

impl CaughtScope {
    fn set() -> Self {
        // A thread that is being torn down has no mark, and its panics are heard.
        let _ = CAUGHT.try_with(|depth| depth.set(depth.get().saturating_add(1)));
        CaughtScope
    }
}

impl Drop for CaughtScope {
    fn drop(&mut self) {
        let _ = CAUGHT.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// Tells `observer` of every panic from now on, until it is dropped.
pub(crate) fn watch(observer: &Arc<dyn PanicObserver>) {
    let mut observers = OBSERVERS.write().unwrap_or_else(PoisonError::into_inner);
    observers.retain(|observer| observer.strong_count() > 0);
    observers.push(Arc::downgrade(observer));
}

/// The number that the next panic of the process gets.
pub(crate) fn next_number() -> u64 {
    NUMBER.load(Ordering::Relaxed)
}

/// The last panic of this thread that our hook met, if its number is `from` or higher. A hook that
/// was set later may hide newer ones from ours.
pub(crate) fn last(from: u64) -> Option<Panic> {
    let last = LAST.try_with(|last| last.try_borrow().ok().and_then(|last| last.clone()));
    last.ok().flatten().filter(|last| last.number >= from)
}

fn tell_all(panic: &Panic) {
    // A panic while the list is being changed finds it locked, and goes without.
    // Panics of several threads read the list at once.
    let known = match OBSERVERS.try_read() {
        Ok(known) => known,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let observers: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
    // Waiting for a flush below must not keep others from changing the list.
    drop(known);
    let waits: Vec<_> = observers
        .iter()
        .filter_map(|observer| observer.note(panic))
        .collect();
    for wait in waits {
        wait();
    }
}
