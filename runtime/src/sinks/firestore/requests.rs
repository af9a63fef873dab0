//! From documents to requests, and from what came of them to what became of the entries.

use firestore::gcloud_sdk::google::firestore::v1::precondition::ConditionType;
use firestore::gcloud_sdk::google::firestore::v1::write::Operation;
use firestore::gcloud_sdk::google::firestore::v1::{Document, Precondition, Write};
use firestore::gcloud_sdk::prost::Message;
use firestore::gcloud_sdk::tonic::Code;

use super::client::{BatchWrite, Refusal, Written};
use super::encoder::NewDocument;
use crate::sinks::{Rejected, SinkError};

/// Firestore's limit of writes in a request.
pub(crate) const MAX_WRITES: usize = 500;

/// Firestore takes 10 MiB in a request; the rest is room for what stands around the writes.
pub(crate) const MAX_REQUEST_BYTES: usize = 9_500_000;

/// The emulator takes 4 MiB.
pub(crate) const MAX_EMULATOR_REQUEST_BYTES: usize = 4_000_000;

/// What fits into a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) writes: usize,
    pub(crate) bytes: usize,
}

const ALREADY_EXISTS: i32 = Code::AlreadyExists as i32;

/// A write, and of which entry it is.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The entry's place in the batch.
    pub(crate) index: usize,
    is_own: bool,
    write: Write,
}

impl Planned {
    /// Makes a document unless one of its name is there.
    pub(crate) fn new(documents: &str, index: usize, document: NewDocument) -> Self {
        let name = format!("{documents}/{}", document.path);
        let made = Document { name, fields: document.fields, create_time: None, update_time: None };
        let write = Write {
            operation: Some(Operation::Update(made)),
            current_document: Some(Precondition { condition_type: Some(ConditionType::Exists(false)) }),
            ..Write::default()
        };
        Self { index, is_own: document.is_own, write }
    }

    /// The write alone.
    pub(crate) fn into_write(self) -> Write {
        self.write
    }
}

/// What became of the entries of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// For each own document of an entry: its place, and whether the document was there.
    pub(crate) stored: Vec<(usize, bool)>,
    pub(crate) rejected: Vec<Rejected>,
}

/// Sends writes in as few requests as may be; order among them is not kept.
pub(crate) fn send(
    to: &mut dyn BatchWrite,
    planned: Vec<Planned>,
    limits: Limits,
    probe: &dyn Fn() -> Write,
) -> Result<Outcome, SinkError> {
    let mut outcome = Outcome::default();
    let mut waiting = cut(planned, limits);
    let mut has_probed = false;
    while !waiting.is_empty() {
        let requests =
            waiting.iter().map(|request| request.iter().map(|it| it.write.clone()).collect()).collect();
        let results = to.batch_write(requests);
        if results.len() != waiting.len() {
            return Err(SinkError::reopen("write documents to Firestore", "not every request was answered"));
        }
        let mut again = Vec::new();
        let mut failed = None;
        for (request, result) in waiting.into_iter().zip(results) {
            match result {
                Ok(written) => match outcome.note(&request, written) {
                    Ok(()) => {}
                    Err(error) => failed = Some(error),
                },
                Err(refusal) if is_too_large(&refusal) && request.len() > 1 => again.extend(halves(request)),
                Err(refusal) if !is_of_a_write(&refusal) => failed = Some(sink_error(refusal)),
                // One write spoils the whole request: which one shows when it is cut in two.
                Err(_) if request.len() > 1 => again.extend(halves(request)),
                Err(refusal) => {
                    if !has_probed {
                        probed(to, probe)?;
                        has_probed = true;
                    }
                    outcome.reject(&request, &refusal.to_string());
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        waiting = again;
    }
    Ok(outcome)
}

/// A target that refuses everything must not make dead letters of everything.
fn probed(to: &mut dyn BatchWrite, probe: &dyn Fn() -> Write) -> Result<(), SinkError> {
    match to.batch_write(vec![vec![probe()]]).pop() {
        Some(Ok(written)) if written.iter().all(|it| matches!(it.code, 0 | ALREADY_EXISTS)) => Ok(()),
        Some(Err(refusal)) if !is_of_a_write(&refusal) => Err(sink_error(refusal)),
        refused => {
            let reason = match refused {
                Some(Err(refusal)) => refusal.to_string(),
                other => format!("{other:?}"),
            };
            let advice = "Firestore refuses every document: compare the settings with the database, then resume the sink";
            Err(SinkError::fatal(format!("write documents to Firestore: {advice}"), reason))
        }
    }
}

/// Requests within Firestore's limits.
fn cut(planned: Vec<Planned>, limits: Limits) -> Vec<Vec<Planned>> {
    let mut requests = Vec::new();
    let (mut request, mut bytes) = (Vec::new(), 0);
    for planned in planned {
        // Its key and its length take a few bytes more.
        let len = planned.write.encoded_len() + 8;
        if request.len() >= limits.writes || (bytes + len > limits.bytes && !request.is_empty()) {
            requests.push(std::mem::take(&mut request));
            bytes = 0;
        }
        bytes += len;
        request.push(planned);
    }
    if !request.is_empty() {
        requests.push(request);
    }
    requests
}

fn halves(mut request: Vec<Planned>) -> [Vec<Planned>; 2] {
    let behind = request.split_off(request.len() / 2);
    [request, behind]
}

impl Outcome {
    fn note(&mut self, request: &[Planned], written: Vec<Written>) -> Result<(), SinkError> {
        if written.len() != request.len() {
            return Err(SinkError::reopen("write documents to Firestore", "not every write was answered"));
        }
        let mut failed = None;
        for (planned, written) in request.iter().zip(written) {
            match written.code {
                0 | ALREADY_EXISTS => {
                    if planned.is_own {
                        self.stored.push((planned.index, written.code == ALREADY_EXISTS));
                    }
                }
                code => {
                    let refusal = Refusal::new(Code::from_i32(code), written.reason);
                    if is_of_a_write(&refusal) || refusal.code == Code::FailedPrecondition {
                        self.reject(std::slice::from_ref(planned), &refusal.to_string());
                    } else {
                        failed = Some(sink_error(refusal));
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn reject(&mut self, planned: &[Planned], reason: &str) {
        let rejected =
            planned.iter().map(|it| Rejected::new(it.index, format!("Firestore refuses it: {reason}")));
        self.rejected.extend(rejected);
    }
}

/// Whether a refusal speaks of what was written, and not of the state of things.
fn is_of_a_write(refusal: &Refusal) -> bool {
    refusal.token.is_none() && matches!(refusal.code, Code::InvalidArgument | Code::OutOfRange)
}

/// Whether a request is longer than something on its way takes: the same code is also that of a spent quota.
fn is_too_large(refusal: &Refusal) -> bool {
    let says = |text: &str| refusal.reason.contains(text);
    refusal.code == Code::ResourceExhausted && (says("exceeds maximum size") || says("larger than max"))
}

/// What a refusal means to the forwarder.
pub(crate) fn sink_error(refusal: Refusal) -> SinkError {
    let attempted = "write documents to Firestore";
    if let Some(token) = refusal.token {
        return token.into_sink_error(attempted);
    }
    match refusal.code {
        // Rights are given by others, and take minutes to be seen.
        Code::PermissionDenied => {
            let advice = "the credentials may not write: give them the role roles/datastore.user";
            SinkError::retry(format!("{attempted}: {advice}"), refusal)
        }
        // The credentials are loaded anew: a file may have been replaced.
        Code::Unauthenticated => SinkError::reopen(format!("{attempted}: the token is refused"), refusal),
        Code::NotFound | Code::FailedPrecondition | Code::Unimplemented => {
            let advice = "make the database of the settings, in native mode, then resume the sink";
            SinkError::fatal(format!("{attempted}: {advice}"), refusal)
        }
        Code::ResourceExhausted | Code::Aborted => SinkError::retry(attempted, refusal),
        // A connection that hangs or broke; the next one may be better.
        _ => SinkError::reopen(attempted, refusal),
    }
}
