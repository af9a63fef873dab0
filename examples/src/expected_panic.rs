//! The one panic that the main job causes on purpose, told apart from any other.

use std::cell::Cell;
use std::panic::PanicHookInfo;

use indicatif::ProgressBar;

tokio::task_local! {
    static EXPECTED: Cell<bool>;
}

/// Prints one line for a panic inside [`expecting`], and leaves every other to the hook that was there.
pub(crate) fn install_hook(progress: ProgressBar) {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_expected = EXPECTED.try_with(|expected| expected.replace(false)).unwrap_or(false);
        if is_expected {
            progress.suspend(|| {
                eprintln!("expected: an engine panics on an upload that broke off ({})", what(info))
            });
        } else {
            previous(info);
        }
    }));
}

/// Runs a future in which one panic is expected.
pub(crate) async fn expecting<T>(future: impl Future<Output = T>) -> T {
    EXPECTED.scope(Cell::new(true), future).await
}

fn what(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    match info.location() {
        Some(location) => format!("{message}, {}:{}", location.file(), location.line()),
        None => message.to_owned(),
    }
}
