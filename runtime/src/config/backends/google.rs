//! What the backends of Google's stores share.

use crate::sinks::google::GoogleCredentials;

/// Credentials by their name, or the path of their file.
pub(super) fn credentials(text: &str) -> GoogleCredentials {
    match text {
        "application_default" => GoogleCredentials::application_default(),
        "emulator" => GoogleCredentials::emulator(),
        "anonymous" => GoogleCredentials::anonymous(),
        path => GoogleCredentials::file(path),
    }
}
