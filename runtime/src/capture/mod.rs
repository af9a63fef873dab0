//! From the program's values to the JSON of an event: bounded, and never able to disturb the call.
//!
//! The program's `Serialize`, `Display` and `Debug` run under `catch_unwind` and write straight into the
//! section of their call, which nobody else can reach meanwhile. A field that fails is rolled back to
//! `{"$error":"capture"}`; a section beyond 64 KiB becomes `{"$omitted":{"bytes":N,"sha256":".."}}`.

use std::cell::Cell;
use std::fmt::{self, Debug, Display};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sha2::{Digest, Sha256};

mod forms;
mod lists;

pub(crate) use forms::{ByDebug, ByDisplay, Hashed, Masked, Ser};
pub use forms::{Capture, Debuggable, Displayable, Serializable};
pub(crate) use lists::{
    MAX_SOURCE_ID_BYTES, detached_id, is_field_name, push_change, push_source_ref, set_member,
    write_source_ref,
};

use crate::draft::CallState;
use crate::ids::encode_hex;
use crate::ledger::LedgerShared;
use crate::surface::CapturedField;

/// The greatest size of one section (input, output, source refs, changes), in bytes.
pub(crate) const MAX_SECTION_BYTES: usize = 64 * 1024;

/// How much of an oversized section is still read, to hash it.
const MAX_HASHED_BYTES: u64 = 1024 * 1024;

/// The longest error message that is kept, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

const FAILED: &[u8] = br#"{"$error":"capture"}"#;

/// A value that could not be captured.
#[derive(Debug)]
pub struct Failed;

/// Whose key hashes values.
#[derive(Clone, Copy)]
pub(crate) struct Tenant<'a> {
    ledger: &'a LedgerShared,
    tenant_id: &'a [u8],
}

impl Tenant<'_> {
    fn key(self) -> Option<[u8; 32]> {
        Some(self.ledger.tenant_key(std::str::from_utf8(self.tenant_id).ok()?))
    }
}

/// Where captured values are written: one section of one call, bounded.
pub struct Sink<'a> {
    section: &'a mut Vec<u8>,
    overflow: Option<Box<Overflow>>,
    tenant: Option<Tenant<'a>>,
}

impl Debug for Sink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("len_bytes", &self.section.len()).finish_non_exhaustive()
    }
}

/// What is left of a section that grew too large.
struct Overflow {
    hasher: Sha256,
    bytes: u64,
    is_partial: bool,
}

impl<'a> Sink<'a> {
    fn new(section: &'a mut Vec<u8>, tenant: Option<Tenant<'a>>) -> Self {
        Self { section, overflow: None, tenant }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        if self.overflow.is_none() && self.section.len() + bytes.len() <= MAX_SECTION_BYTES {
            self.section.extend_from_slice(bytes);
            return Ok(());
        }
        self.put_beyond(bytes)
    }

    #[cold]
    fn put_beyond(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let section = &mut *self.section;
        let overflow = self.overflow.get_or_insert_with(|| {
            let mut hasher = Sha256::new();
            hasher.update(&*section);
            let bytes = section.len() as u64;
            section.clear();
            Box::new(Overflow { hasher, bytes, is_partial: false })
        });
        let room = MAX_HASHED_BYTES.saturating_sub(overflow.bytes);
        let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        overflow.hasher.update(&bytes[..taken]);
        overflow.bytes += taken as u64;
        if taken < bytes.len() {
            overflow.is_partial = true;
            return Err(Failed);
        }
        Ok(())
    }

    fn is_exhausted(&self) -> bool {
        self.overflow.as_ref().is_some_and(|overflow| overflow.is_partial)
    }

    fn tenant(&self) -> Option<Tenant<'a>> {
        self.tenant
    }

    /// Writes a name between the separator before it and the colon behind it.
    #[inline]
    fn put_key(&mut self, before: &[u8; 2], name: &str) -> Result<(), Failed> {
        let len = name.len() + before.len() + 2;
        if self.overflow.is_none() && self.section.len() + len <= MAX_SECTION_BYTES {
            self.section.reserve(len);
            self.section.extend_from_slice(before);
            self.section.extend_from_slice(name.as_bytes());
            self.section.extend_from_slice(b"\":");
            return Ok(());
        }
        self.put_beyond(before)?;
        self.put_beyond(name.as_bytes())?;
        self.put_beyond(b"\":")
    }

    /// Writes a value; one that fails or panics leaves the marker instead.
    fn value(&mut self, value: &dyn Capture) {
        let start = self.section.len();
        let captured = catch_unwind(AssertUnwindSafe(|| value.capture(self)));
        if !matches!(captured, Ok(Ok(()))) {
            self.roll_back(start);
        }
    }

    /// Puts the marker in the place of a value that began at `start`.
    #[cold]
    fn roll_back(&mut self, start: usize) {
        if self.is_exhausted() {
            return;
        }
        // Once the section is only hashed there is nothing to roll back.
        if self.overflow.is_none() {
            self.section.truncate(start);
        }
        let _ = self.put(FAILED);
    }

    fn close(self) {
        let Some(overflow) = self.overflow else { return };
        self.section.clear();
        write_omitted(self.section, overflow.hasher, overflow.bytes, overflow.is_partial);
    }
}

/// `partial` says that more bytes would have followed those that were hashed.
fn write_omitted(section: &mut Vec<u8>, hasher: Sha256, bytes: u64, is_partial: bool) {
    let mut hex = [0; 64];
    encode_hex(&hasher.finalize(), &mut hex);
    section.extend_from_slice(br#"{"$omitted":{"bytes":"#);
    section.extend_from_slice(bytes.to_string().as_bytes());
    section.extend_from_slice(br#","sha256":""#);
    section.extend_from_slice(&hex);
    section.push(b'"');
    if is_partial {
        section.extend_from_slice(br#","partial":true"#);
    }
    section.extend_from_slice(b"}}");
}

impl io::Write for Sink<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes).map_err(|Failed| io::ErrorKind::WriteZero.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tenant_of<'a>(ledger: Option<&'a LedgerShared>, head: &'a [u8], tenant_len: u8) -> Option<Tenant<'a>> {
    Some(Tenant { ledger: ledger?, tenant_id: head.get(..usize::from(tenant_len))? })
}

/// Writes the inputs of a site.
pub(crate) fn write_input(state: &mut CallState, fields: &[CapturedField], values: &[&dyn Capture]) {
    let tenant = tenant_of(state.ledger.as_deref(), &state.head, state.tenant_len);
    write_fields(&mut state.input, tenant, fields, values);
}

/// Writes the outputs of a site, after what the body added.
pub(crate) fn write_output(state: &mut CallState, fields: &[CapturedField], values: &[&dyn Capture]) {
    if state.output.is_empty() {
        let tenant = tenant_of(state.ledger.as_deref(), &state.head, state.tenant_len);
        write_fields(&mut state.output, tenant, fields, values);
        return;
    }
    for (field, value) in fields.iter().zip(values) {
        let mut bytes = Vec::new();
        let tenant = tenant_of(state.ledger.as_deref(), &state.head, state.tenant_len);
        write_value(&mut bytes, tenant, *value);
        set_member(&mut state.output, field.name, &bytes);
    }
}

fn write_fields(
    section: &mut Vec<u8>,
    tenant: Option<Tenant<'_>>,
    fields: &[CapturedField],
    values: &[&dyn Capture],
) {
    let mut sink = Sink::new(section, tenant);
    let mut next = 0;
    let mut start = 0;
    // One guard for all fields; it is taken again behind one that panicked.
    let write = |sink: &mut Sink<'_>, next: &mut usize, start: &mut usize| -> Result<(), Failed> {
        while let (Some(field), Some(value)) = (fields.get(*next), values.get(*next)) {
            sink.put_key(if *next == 0 { b"{\"" } else { b",\"" }, field.name)?;
            *start = sink.section.len();
            *next += 1;
            if value.capture(sink).is_err() {
                sink.roll_back(*start);
            }
        }
        Ok(())
    };
    // A failed key means that even the hash is complete; nothing more is taken.
    while catch_unwind(AssertUnwindSafe(|| write(&mut sink, &mut next, &mut start))).is_err() {
        sink.roll_back(start);
    }
    let _ = sink.put(b"}");
    sink.close();
}

fn write_value(section: &mut Vec<u8>, tenant: Option<Tenant<'_>>, value: &dyn Capture) {
    let mut sink = Sink::new(section, tenant);
    sink.value(value);
    sink.close();
}

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A value that is written before it is known where it goes.
#[derive(Debug)]
pub(crate) struct Detached(Vec<u8>);

impl std::ops::Deref for Detached {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        bytes.clear();
        let _ = SCRATCH.try_with(|scratch| scratch.set(bytes));
    }
}

/// The thread's scratch buffer; a fresh one when that is in use.
fn scratch() -> Vec<u8> {
    SCRATCH.try_with(Cell::take).unwrap_or_default()
}

/// Why a value has no JSON text of its own.
pub(crate) enum Refusal {
    Failed,
    TooLarge,
}

/// Writes a value into the thread's scratch buffer, or says why not.
pub(crate) fn detached_or_failed(value: &dyn Capture) -> Result<Detached, Refusal> {
    let mut bytes = Detached(scratch());
    let mut sink = Sink::new(&mut bytes.0, None);
    let captured = catch_unwind(AssertUnwindSafe(|| value.capture(&mut sink)));
    match (captured, sink.overflow.is_some()) {
        (_, true) => Err(Refusal::TooLarge),
        (Ok(Ok(())), false) => Ok(bytes),
        _ => Err(Refusal::Failed),
    }
}

/// Writes a value into the thread's scratch buffer.
pub(crate) fn detached(value: &dyn Capture) -> Detached {
    let mut bytes = scratch();
    write_value(&mut bytes, None, value);
    Detached(bytes)
}

/// The message of an error, bounded; what its `Display` wrote before it failed or panicked.
pub(crate) fn message(error: &dyn Display) -> String {
    struct Bounded(String);
    impl fmt::Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MAX_MESSAGE_BYTES - self.0.len();
            let mut end = room.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            self.0.push_str(&text[..end]);
            if end < text.len() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut text = Bounded(String::new());
    let _ = catch_unwind(AssertUnwindSafe(|| fmt::write(&mut text, format_args!("{error}"))));
    text.0
}
