//! The newest line of every stream, and one hash over all of them.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::line::genesis;
use crate::event::LineHash;
use crate::ids::{InvalidId, LedgerId, Scope};

const BUCKETS: usize = 256;

/// The newest line of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamHead {
    /// The stream's scope; its ledger is known from where the head stands.
    pub scope: Scope,
    /// The line's sequence number.
    pub seq: u64,
    /// The line's hash.
    pub hash: LineHash,
}

#[derive(Serialize, Deserialize)]
struct StreamHeadFields<T> {
    tenant_id: T,
    env: T,
    seq: u64,
    hash: LineHash,
}

impl Serialize for StreamHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = StreamHeadFields {
            tenant_id: self.scope.tenant_id().as_str(),
            env: self.scope.env().as_str(),
            seq: self.seq,
            hash: self.hash,
        };
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StreamHead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = StreamHeadFields::<String>::deserialize(deserializer)?;
        let scope = Scope::from_stored(&fields.tenant_id, &fields.env).map_err(serde::de::Error::custom)?;
        Ok(Self { scope, seq: fields.seq, hash: fields.hash })
    }
}

/// The state of one stream: what its next line continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// 0 before the first line.
    pub(crate) seq: u64,
    /// The hash of the newest line; of the genesis text before the first.
    pub(crate) hash: LineHash,
    /// In microseconds since 1970; never decreases in a stream.
    pub(crate) recorded_at: i64,
}

/// A stream's number in a [`Heads`]; stays the same for its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId(u32);

impl StreamId {
    pub(crate) fn from_index(index: usize) -> Self {
        Self(index as u32)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone)]
struct Stream {
    scope: Scope,
    head: Head,
    bucket: u8,
    is_moved: bool,
}

#[derive(Debug, Clone)]
struct Bucket {
    /// Streams with at least one line, by tenant, then env.
    streams: Vec<StreamId>,
    hash: [u8; 32],
    is_stale: bool,
}

/// The heads of all streams of one ledger.
///
/// The root is kept in two levels, so that a checkpoint among 100,000 streams hashes again only the
/// 1/256th parts in which a head moved.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    ledger_id: LedgerId,
    index: HashMap<Box<str>, StreamId>,
    key: String,
    streams: Vec<Stream>,
    moved: Vec<StreamId>,
    buckets: Vec<Bucket>,
    count: u64,
}

impl Heads {
    pub(crate) fn new(ledger_id: LedgerId) -> Self {
        let bucket = Bucket { streams: Vec::new(), hash: [0; 32], is_stale: false };
        Self {
            ledger_id,
            index: HashMap::new(),
            key: String::new(),
            streams: Vec::new(),
            moved: Vec::new(),
            buckets: vec![bucket; BUCKETS],
            count: 0,
        }
    }

    /// The ledger whose streams these are.
    pub(crate) fn ledger_id(&self) -> LedgerId {
        self.ledger_id
    }

    /// The number of a stream. A stream not yet seen gets one, with its genesis as head; it counts for
    /// the root only from its first line on.
    pub(crate) fn stream(&mut self, tenant_id: &str, env: &str) -> Result<StreamId, InvalidId> {
        self.key.clear();
        self.key.push_str(tenant_id);
        // Neither alphabet has it, so the key stands for one pair alone.
        self.key.push('\n');
        self.key.push_str(env);
        if let Some(id) = self.index.get(self.key.as_str()) {
            return Ok(*id);
        }
        let scope = Scope::from_stored(tenant_id, env)?;
        let hash = genesis(self.ledger_id, &scope);
        let id = StreamId(self.streams.len() as u32);
        let head = Head { seq: 0, hash, recorded_at: 0 };
        self.streams.push(Stream { scope, head, bucket: bucket_of(hash), is_moved: false });
        self.index.insert(self.key.as_str().into(), id);
        Ok(id)
    }

    /// The number of a scope's stream, as [`stream`](Self::stream).
    pub(crate) fn stream_of(&mut self, scope: &Scope) -> StreamId {
        match self.stream(scope.tenant_id().as_str(), scope.env().as_str()) {
            Ok(id) => id,
            Err(_) => unreachable!("a scope is made of valid ids"),
        }
    }

    pub(crate) fn head(&self, id: StreamId) -> &Head {
        &self.streams[id.index()].head
    }

    pub(crate) fn scope(&self, id: StreamId) -> &Scope {
        &self.streams[id.index()].scope
    }

    /// Makes a line the newest of its stream.
    pub(crate) fn advance(&mut self, id: StreamId, head: Head) {
        let stream = &mut self.streams[id.index()];
        let bucket = &mut self.buckets[usize::from(stream.bucket)];
        bucket.is_stale = true;
        if !stream.is_moved {
            stream.is_moved = true;
            self.moved.push(id);
        }
        let is_first = stream.head.seq == 0;
        stream.head = head;
        if is_first && head.seq > 0 {
            self.count += 1;
            let streams = &self.streams;
            let scope = &streams[id.index()].scope;
            let at = bucket.streams.partition_point(|other| streams[other.index()].scope < *scope);
            bucket.streams.insert(at, id);
        }
    }

    /// How many streams have at least one line.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Every stream with at least one line, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Scope, &Head)> {
        self.streams.iter().filter(|stream| stream.head.seq > 0).map(|stream| (&stream.scope, &stream.head))
    }

    /// The streams that moved since [`clear_moved`](Self::clear_moved), in the order in which they did.
    pub(crate) fn moved_streams(&self) -> &[StreamId] {
        &self.moved
    }

    /// The heads that moved since [`clear_moved`](Self::clear_moved), by tenant, then env.
    pub(crate) fn moved(&self) -> Vec<StreamHead> {
        let mut heads: Vec<_> = self.moved.iter().map(|id| self.stream_head(*id)).collect();
        heads.sort_unstable_by(by_scope);
        heads
    }

    /// All heads, by tenant, then env.
    pub(crate) fn all(&self) -> Vec<StreamHead> {
        let streams = self.streams.iter().filter(|stream| stream.head.seq > 0);
        let mut heads: Vec<_> = streams.map(Stream::to_head).collect();
        heads.sort_unstable_by(by_scope);
        heads
    }

    fn stream_head(&self, id: StreamId) -> StreamHead {
        self.streams[id.index()].to_head()
    }

    /// Begins a new list of moved heads: after a checkpoint has been written.
    pub(crate) fn clear_moved(&mut self) {
        for id in self.moved.drain(..) {
            self.streams[id.index()].is_moved = false;
        }
    }

    /// One hash over all heads. The same heads have the same root, however they came about.
    ///
    /// A stream belongs to the bucket that the first byte of its genesis hash names. A bucket's hash is
    /// the SHA-256 of `dataset-events heads v1 bucket\n` and, for each of its streams by tenant and env:
    /// tenant, `\n`, env, `\n`, seq (8 bytes, big-endian), hash (32 bytes); 32 zero bytes when it has
    /// none. The root is the SHA-256 of `dataset-events heads v1 root\n` and the 256 bucket hashes.
    pub(crate) fn root(&mut self) -> LineHash {
        let mut root = Sha256::new_with_prefix(b"dataset-events heads v1 root\n");
        for bucket in &mut self.buckets {
            if bucket.is_stale {
                bucket.is_stale = false;
                bucket.hash = hash_bucket(&bucket.streams, &self.streams);
            }
            root.update(bucket.hash);
        }
        LineHash(root.finalize().into())
    }
}

impl Stream {
    fn to_head(&self) -> StreamHead {
        StreamHead { scope: self.scope.clone(), seq: self.head.seq, hash: self.head.hash }
    }
}

fn bucket_of(genesis: LineHash) -> u8 {
    genesis.0[0]
}

fn hash_bucket(ids: &[StreamId], streams: &[Stream]) -> [u8; 32] {
    if ids.is_empty() {
        return [0; 32];
    }
    let mut hasher = Sha256::new_with_prefix(b"dataset-events heads v1 bucket\n");
    for id in ids {
        let Stream { scope, head, .. } = &streams[id.index()];
        hasher.update(scope.tenant_id().as_str());
        hasher.update(b"\n");
        hasher.update(scope.env().as_str());
        hasher.update(b"\n");
        hasher.update(head.seq.to_be_bytes());
        hasher.update(head.hash.0);
    }
    hasher.finalize().into()
}

fn by_scope(a: &StreamHead, b: &StreamHead) -> Ordering {
    a.scope.cmp(&b.scope)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::{Env, TenantId};

    pub(crate) fn scope(tenant: &str, env: &str) -> Scope {
        Scope::new(TenantId::new(tenant).unwrap(), Env::new(env).unwrap())
    }

    pub(crate) fn ledger_id() -> LedgerId {
        "0190b5a0-0000-7000-8000-000000000001".parse().unwrap()
    }

    fn head(seq: u64) -> Head {
        Head { seq, hash: LineHash([seq as u8; 32]), recorded_at: seq as i64 }
    }

    #[test]
    fn root_depends_on_the_heads_alone() {
        let scopes: Vec<_> = (0..500).map(|n| scope(&format!("tenant-{n}"), "prod")).collect();
        let mut forward = Heads::new(ledger_id());
        for scope in &scopes {
            let id = forward.stream_of(scope);
            forward.advance(id, head(3));
        }
        let mut backward = Heads::new(ledger_id());
        for seq in 1..=3 {
            for scope in scopes.iter().rev() {
                let id = backward.stream_of(scope);
                backward.advance(id, head(seq));
                backward.root();
            }
        }
        assert_eq!(forward.root(), backward.root());
        assert_eq!(forward.all(), backward.all());
        assert_eq!(forward.len(), 500);
    }

    #[test]
    fn root_changes_with_any_part_of_any_head() {
        let build = |tenant: &str, env: &str, head: Head| {
            let mut heads = Heads::new(ledger_id());
            let id = heads.stream_of(&scope("other", "prod"));
            heads.advance(id, self::head(1));
            let id = heads.stream_of(&scope(tenant, env));
            heads.advance(id, head);
            heads.root()
        };
        let changed = Head { hash: LineHash([9; 32]), ..head(2) };
        let roots = [
            build("acme", "prod", head(2)),
            build("acme2", "prod", head(2)),
            build("acme", "2prod", head(2)),
            build("acme", "prod", head(3)),
            build("acme", "prod", changed),
        ];
        for (at, root) in roots.iter().enumerate() {
            assert!(!roots[..at].contains(root), "root {at} repeats");
        }
    }

    #[test]
    fn a_stream_counts_from_its_first_line() {
        let mut heads = Heads::new(ledger_id());
        let empty = heads.root();
        let id = heads.stream("acme", "prod").unwrap();
        assert_eq!((heads.len(), heads.root(), heads.all()), (0, empty, Vec::new()));
        heads.advance(id, head(1));
        assert_eq!((heads.len(), *heads.head(id)), (1, head(1)));
        assert_ne!(heads.root(), empty);
        assert!(heads.stream("acme\nprod", "x").is_err());
    }

    #[test]
    fn moved_heads_are_listed_once_and_sorted() {
        let mut heads = Heads::new(ledger_id());
        for (tenant, seq) in [("b", 1), ("a", 1), ("b", 2)] {
            let id = heads.stream_of(&scope(tenant, "prod"));
            heads.advance(id, head(seq));
        }
        let moved: Vec<_> = heads.moved().iter().map(|head| (head.scope.to_string(), head.seq)).collect();
        assert_eq!(moved, [("a/prod".to_owned(), 1), ("b/prod".to_owned(), 2)]);
        heads.clear_moved();
        assert!(heads.moved().is_empty());
        let id = heads.stream_of(&scope("a", "prod"));
        heads.advance(id, head(2));
        assert_eq!(heads.moved().len(), 1);
    }
}
