//! Events that are made by hand: for what is not a function of the program.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::capture;
use crate::context::RequestContext;
use crate::current;
use crate::draft::{CallState, End, Operation, ScopeSource};
use crate::error_code::{Code, ErrorCode, LedgerUnavailable, is_dotted_name};
use crate::event::Outcome;
use crate::ids::EventId;
use crate::surface::{Access, Guarantee};

/// A hand-made event was refused. Nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The surface is not `[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+` of at most 64 bytes.
    Surface {
        /// The surface as given, cut at 64 bytes.
        surface: String,
    },
    /// The name of a field, a source ref's kind, or a changed field is not 1 to 64 bytes of
    /// `[A-Za-z_][A-Za-z0-9_.-]*`.
    Name {
        /// What was named: `input`, `output`, `source ref` or `change`.
        what: &'static str,
        /// The name as given, cut at 64 bytes.
        name: String,
    },
    /// A field or a change of this name was given before.
    Duplicate {
        /// What was named: `input`, `output` or `change`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A value could not be serialised: its `Serialize` or `Display` failed or panicked.
    Value {
        /// What was named: `input`, `output`, `source ref` or `change`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The id of a source ref is empty or longer than 512 bytes.
    SourceId {
        /// The kind.
        kind: String,
        /// The length in bytes, as JSON text.
        len_bytes: usize,
    },
    /// The input, the output, the source refs or the changes together exceed 64 KiB.
    TooLarge {
        /// Which of them.
        what: &'static str,
    },
    /// The ledger could not take the event.
    Unavailable(LedgerUnavailable),
}

impl RecordError {
    const SURFACE: Code = Code::new("event.invalid_surface").status(422);
    const NAME: Code = Code::new("event.invalid_name").status(422);
    const DUPLICATE: Code = Code::new("event.duplicate_name").status(422);
    const VALUE: Code = Code::new("event.invalid_value").status(422);
    const SOURCE_ID: Code = Code::new("event.invalid_source_id").status(422);
    const TOO_LARGE: Code = Code::new("event.too_large").status(413);
}

#[diagnostic::do_not_recommend]
impl ErrorCode for RecordError {
    fn code(&self) -> Code {
        match self {
            Self::Surface { .. } => Self::SURFACE,
            Self::Name { .. } => Self::NAME,
            Self::Duplicate { .. } => Self::DUPLICATE,
            Self::Value { .. } => Self::VALUE,
            Self::SourceId { .. } => Self::SOURCE_ID,
            Self::TooLarge { .. } => Self::TOO_LARGE,
            Self::Unavailable(inner) => inner.code(),
        }
    }

    fn codes() -> &'static [Code] {
        &[
            Self::SURFACE,
            Self::NAME,
            Self::DUPLICATE,
            Self::VALUE,
            Self::SOURCE_ID,
            Self::TOO_LARGE,
            LedgerUnavailable::CODE,
        ]
    }
}

impl Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Surface { surface } => write!(
                f,
                "record an event: the surface {surface:?} is not of the form `engine.action`: parts of \
                 [a-z][a-z0-9_]* joined by `.`, at most 64 bytes"
            ),
            Self::Name { what, name } => write!(
                f,
                "record an event: the {what} name {name:?} is not 1 to 64 bytes of [A-Za-z_][A-Za-z0-9_.-]*"
            ),
            Self::Duplicate { what, name } => {
                write!(f, "record an event: the {what} {name:?} was given twice")
            }
            Self::Value { what, name } => {
                write!(f, "record an event: the value of {what} {name:?} could not be serialised")
            }
            Self::SourceId { kind, len_bytes } => write!(
                f,
                "record an event: the id of the source ref {kind:?} has {len_bytes} bytes, 1 to 512 are accepted"
            ),
            Self::TooLarge { what } => write!(f, "record an event: the {what} exceeds 64 KiB"),
            Self::Unavailable(_) => f.write_str("record an event: the ledger could not take it"),
        }
    }
}

impl std::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(inner) => Some(inner),
            _ => None,
        }
    }
}

impl From<LedgerUnavailable> for RecordError {
    fn from(error: LedgerUnavailable) -> Self {
        Self::Unavailable(error)
    }
}

impl RequestContext {
    /// Begins an event by hand, for what is not a function: a step of a job, a decision of a policy.
    ///
    /// It has the same schema and the same guarantees as the event of an annotated function. Its time
    /// runs from here to [`record`](EventBuilder::record); inside an annotated function it is a child span.
    ///
    /// ```
    /// use dataset_events::{Access, Code, testing::TestLedger};
    ///
    /// let ledger = TestLedger::new();
    /// let ctx = ledger.context("acme", "prod").user_id("u_7").build()?;
    /// ctx.event("audit.key_rotated")
    ///     .access(Access::Update)
    ///     .input("key", "signing")
    ///     .source_ref("key", "k_42")
    ///     .change("version", &1, &2)
    ///     .record()?;
    /// ledger.assert_one("audit.key_rotated").source_ref("key", "k_42").change("version", 1, 2);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn event<'a>(&'a self, surface: &'a str) -> EventBuilder<'a> {
        EventBuilder::new(self, surface)
    }
}

/// Builds an event by hand; made by [`RequestContext::event`].
///
/// Setters keep the first refusal; [`record`](Self::record) returns it.
#[must_use = "an event is recorded by `record()`"]
pub struct EventBuilder<'a> {
    /// `None` when recording is off.
    state: Option<Box<CallState>>,
    refused: Option<RecordError>,
    code: Option<Code>,
    guarantee: Guarantee,
    names: Vec<(&'static str, String)>,
    context: &'a RequestContext,
}

impl fmt::Debug for EventBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBuilder")
            .field("context", self.context)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(64);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

impl<'a> EventBuilder<'a> {
    fn new(context: &'a RequestContext, surface: &'a str) -> Self {
        let is_accepted = is_dotted_name(surface);
        // The call begins here, so that its time is measured; a refused name is never written.
        let operation = Operation {
            surface: if is_accepted { surface } else { "event.refused" },
            access: Access::Write,
            // A builder may be given up: nothing counts it as begun. `recorded` asks for no attempt.
            guarantee: Guarantee::Intent,
            site: None,
        };
        let state = current::with(|parent| {
            CallState::begin(&ScopeSource::Context(context), operation, parent.as_deref())
        });
        let refused = (!is_accepted).then(|| RecordError::Surface { surface: cut(surface) });
        Self { state, refused, code: None, guarantee: Guarantee::Recorded, names: Vec::new(), context }
    }

    /// What the event did to the data. Defaults to [`Access::Write`].
    pub fn access(mut self, access: Access) -> Self {
        if let Some(state) = &mut self.state {
            state.access = access;
        }
        self
    }

    /// What must survive which failure. Defaults to [`Guarantee::Recorded`]; with
    /// [`Guarantee::Durable`] recording waits for the fsync.
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// Adds a field to the input.
    pub fn input<V: Serialize + ?Sized>(mut self, name: &str, value: &V) -> Self {
        if let Some(value) = self.value("input", name, true, &capture::Ser(value))
            && let Some(state) = &mut self.state
        {
            capture::set_member(&mut state.input, name, &value);
        }
        self
    }

    /// Adds a field to the output.
    pub fn output<V: Serialize + ?Sized>(mut self, name: &str, value: &V) -> Self {
        if let Some(value) = self.value("output", name, true, &capture::Ser(value))
            && let Some(state) = &mut self.state
        {
            capture::set_member(&mut state.output, name, &value);
        }
        self
    }

    /// Names a thing that was read or written.
    pub fn source_ref<I: Display>(mut self, kind: &str, id: I) -> Self {
        let Some(id) = self.value("source ref", kind, false, &capture::ByDisplay(&id)) else { return self };
        let len_bytes = id.len() - 2;
        if len_bytes == 0 || len_bytes > capture::MAX_SOURCE_ID_BYTES {
            self.refuse(RecordError::SourceId { kind: kind.to_owned(), len_bytes });
        } else if let Some(state) = &mut self.state {
            capture::push_source_ref(&mut state.source_refs, kind, &id);
        }
        self
    }

    /// Names a field that was changed, with its values before and after.
    pub fn change<B: Serialize + ?Sized, A: Serialize + ?Sized>(
        mut self,
        field: &str,
        before: &B,
        after: &A,
    ) -> Self {
        if let Some(before) = self.value("change", field, true, &capture::Ser(before))
            && let Some(after) = self.value("change", field, false, &capture::Ser(after))
            && let Some(state) = &mut self.state
        {
            capture::push_change(&mut state.changes, field, &before, &after);
        }
        self
    }

    /// Records a failure with this code; a denial, if the code says so. Without it the outcome is `ok`.
    pub fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Records a denial with this code.
    pub fn denied(self, code: Code) -> Self {
        self.code(code.denied(true))
    }

    /// Records the event and gives its id; the nil id where recording is switched off.
    ///
    /// With [`Guarantee::Durable`] this blocks the thread until the event is on disk; inside an async
    /// function use [`record_async`](Self::record_async). An event of another guarantee waits for room within
    /// the thread's budget; one that finds none is counted in `ledger.gap`, and is no error here. Who must
    /// know uses [`try_record`](Self::try_record).
    ///
    /// # Errors
    ///
    /// - the surface, a name, an id or a value is refused, or a section is too large: see [`RecordError`];
    /// - `Unavailable`: a `durable` event, and the ledger cannot take it.
    pub fn record(mut self) -> Result<EventId, RecordError> {
        self.check()?;
        let Some(mut state) = self.state.take() else { return Ok(EventId::from_uuid(uuid::Uuid::nil())) };
        let event_id = state.event_id;
        if self.guarantee == Guarantee::Durable {
            state.guarantee = Guarantee::Durable;
            state.admit_blocking()?;
            state.finish_blocking(&self.end());
        } else {
            self.finish(state);
        }
        Ok(event_id)
    }

    /// Records the event if the journal has room for it now; never waits.
    ///
    /// An event that is refused is not counted in `ledger.gap`: the caller still has it, and may record it
    /// later. That is for events that stand for many, whose loss would be counted as one.
    ///
    /// A guarantee above [`Guarantee::Recorded`] has to wait: such an event is recorded as by
    /// [`record`](Self::record).
    ///
    /// ```
    /// use dataset_events::{RecordError, testing::TestLedger};
    ///
    /// let ledger = TestLedger::new();
    /// let ctx = ledger.context("acme", "prod").build()?;
    /// ctx.event("http.refused").input("stands_for", &5_000).try_record()?;
    /// ledger.ledger().clone().close()?;
    /// let refused = ctx.event("http.refused").input("stands_for", &7).try_record();
    /// assert!(matches!(refused, Err(RecordError::Unavailable(_))));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// - as [`record`](Self::record);
    /// - `Unavailable`: the journal has no room, or the ledger is closed.
    pub fn try_record(mut self) -> Result<EventId, RecordError> {
        if self.guarantee != Guarantee::Recorded {
            return self.record();
        }
        self.check()?;
        let Some(state) = self.state.take() else { return Ok(EventId::from_uuid(uuid::Uuid::nil())) };
        let event_id = state.event_id;
        state.try_finish(&self.end())?;
        Ok(event_id)
    }

    /// The same as [`record`](Self::record), waiting by waker: never blocks the executor.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub async fn record_async(mut self) -> Result<EventId, RecordError> {
        self.check()?;
        let Some(mut state) = self.state.take() else { return Ok(EventId::from_uuid(uuid::Uuid::nil())) };
        let event_id = state.event_id;
        if self.guarantee == Guarantee::Durable {
            state.guarantee = Guarantee::Durable;
            std::future::poll_fn(|cx| state.poll_admit(cx)).await?;
            let settled = state.finish_durable(&self.end());
            settled.await;
        } else {
            self.finish(state);
        }
        Ok(event_id)
    }

    fn finish(&self, mut state: Box<CallState>) {
        if self.guarantee == Guarantee::Intent {
            state.attempt();
        }
        state.finish(&self.end());
    }

    fn end(&self) -> End<'static> {
        End {
            outcome: match self.code {
                None => Outcome::Ok,
                Some(code) if code.is_denied() => Outcome::Denied,
                Some(_) => Outcome::Error,
            },
            code: self.code.map(|code| (code.name(), code.is_retryable())),
            message: None,
            items: None,
        }
    }

    fn check(&mut self) -> Result<(), RecordError> {
        match self.refused.take() {
            Some(refused) => Err(refused),
            None => Ok(()),
        }
    }

    fn refuse(&mut self, error: RecordError) {
        self.refused.get_or_insert(error);
    }

    /// A named value as JSON text, or the refusal is kept.
    fn value(
        &mut self,
        what: &'static str,
        name: &str,
        is_unique: bool,
        value: &dyn capture::Capture,
    ) -> Option<capture::Detached> {
        if self.refused.is_some() {
            return None;
        }
        if !capture::is_field_name(name) {
            self.refuse(RecordError::Name { what, name: cut(name) });
            return None;
        }
        if is_unique {
            if self.names.iter().any(|(known, given)| *known == what && given == name) {
                self.refuse(RecordError::Duplicate { what, name: name.to_owned() });
                return None;
            }
            self.names.push((what, name.to_owned()));
        }
        let bytes = match capture::detached_or_failed(value) {
            Ok(bytes) => bytes,
            Err(capture::Refusal::Failed) => {
                self.refuse(RecordError::Value { what, name: name.to_owned() });
                return None;
            }
            Err(capture::Refusal::TooLarge) => {
                self.refuse(RecordError::TooLarge { what });
                return None;
            }
        };
        let section = self.state.as_ref().map_or(0, |state| match what {
            "input" => state.input.len(),
            "output" => state.output.len(),
            "source ref" => state.source_refs.len(),
            _ => state.changes.len(),
        });
        // 256 bytes: the names, the punctuation, and the marker that would end a list.
        if section + bytes.len() + 256 > capture::MAX_SECTION_BYTES {
            self.refuse(RecordError::TooLarge { what });
            return None;
        }
        Some(bytes)
    }
}
