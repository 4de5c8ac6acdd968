use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::task::Poll;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static WHERE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the default panic hook quiet about panics that actors survive: those are logged once, with the
/// actor's path, by the kernel. All other panics go to the hook installed before. Process-wide, so only the
/// program's entry point calls it; calling it again does no harm.
pub fn install_panic_hook() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() {
                WHERE.set(info.location().map(ToString::to_string));
            } else {
                before(info);
            }
        }));
    });
}

/// Runs `work` and turns a panic into its message.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    result.map_err(|payload| {
        let text = panic_text(&*payload);
        // A payload's own drop may panic as well; it is not worth a process.
        let _ignored = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
        match WHERE.take() {
            Some(place) => format!("{text} (at {place})"),
            None => text,
        }
    })
}

/// Drops values of others one by one, so that a panic in one spares the rest: two at once would end the process.
/// Gives the first panic's message.
pub(crate) fn drop_each<T>(values: impl IntoIterator<Item = T>) -> Result<(), String> {
    values.into_iter().map(|value| catch(move || drop(value))).fold(Ok(()), Result::and)
}

/// The same for a future: each poll is guarded.
pub(crate) async fn catch_async<F: Future>(work: F) -> Result<F::Output, String> {
    let mut work = pin!(work);
    std::future::poll_fn(|task| match catch(|| work.as_mut().poll(task)) {
        Ok(poll) => poll.map(Ok),
        Err(text) => Poll::Ready(Err(text)),
    })
    .await
}

/// The message of a panic.
fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("(payload is no text)"))
}
