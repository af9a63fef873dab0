//! Snapshots: killed at each step, torn, of another version, and never of another tenant.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::store::{DiskFiles, Files};
use super::*;

/// Does so many operations and then nothing any more, as after a kill; the one it dies in is done by half.
struct DyingFiles {
    left: AtomicUsize,
}

impl DyingFiles {
    fn step(&self) -> io::Result<()> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("the process is dead"))
    }
}

impl Files for DyingFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| DiskFiles.create_folder(path))
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let alive = self.left.load(Ordering::SeqCst) > 1;
        self.step()?;
        match alive {
            true => DiskFiles.create(path, bytes),
            false => DiskFiles.create(path, &bytes[..bytes.len() / 2]),
        }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| DiskFiles.sync(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| DiskFiles.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| DiskFiles.remove(path))
    }
}

#[test]
fn killed_at_any_step_of_a_save_the_next_start_is_equal() {
    fn check<M: ReadModel>(model: fn() -> M, random: &mut Random) {
        let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut ledgers = three(root.path());
        let set = of_root(root.path());
        let acme = prod(&set, "acme");
        for with_older in [false, true] {
            let mut failed = 0;
            for steps in 0..8 {
                if !with_older {
                    let _ = fs::remove_dir_all(snapshots.path());
                }
                for ledger in &mut ledgers {
                    ledger.write_random(random, &[scope("acme")], 10, 9_000_000_000);
                }
                // Making the directory itself is the first step.
                let files = Arc::new(DyingFiles { left: AtomicUsize::new(steps + 1) });
                let store = SnapshotStore::with_files(snapshots.path(), files).unwrap();
                let mut dying = Folded::open(&acme, model(), &store).unwrap();
                let saved = dying.save().clone();
                assert_ne!(saved.is_saved, saved.save_error.is_some());
                failed += usize::from(!saved.is_saved);
                assert_eq!(
                    text(&dying),
                    naive(&model(), &ledgers, &scope("acme")),
                    "a failed save harms no state"
                );
                for ledger in &mut ledgers {
                    ledger.write_random(random, &[scope("acme")], 3, 9_000_000_000);
                }
                let store = SnapshotStore::open(snapshots.path()).unwrap();
                let next = Folded::open(&acme, model(), &store).unwrap();
                assert!(!matches!(next.start(), Start::Refused { .. }), "{steps}: {:?}", next.start());
                assert_eq!(
                    text(&next),
                    naive(&model(), &ledgers, &scope("acme")),
                    "{}: after {steps}",
                    M::NAME
                );
            }
            assert_eq!(failed, 5, "folder, create, sync, rename, folder's sync");
        }
    }
    let mut random = Random::new();
    for_every_model!(check(&mut random));
}

/// The one snapshot below a directory.
fn only_file(directory: &Path) -> PathBuf {
    let mut files = files_below(directory);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

/// Counts events; its version and config are the test's.
struct Counting<const V: u32>(&'static str);

impl<const V: u32> ReadModel for Counting<V> {
    type State = u64;
    const NAME: &'static str = "counting";
    const VERSION: u32 = V;

    fn config(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn apply(&self, state: &mut u64, _event: &DatasetEvent) {
        *state += 1;
    }
}

#[test]
fn a_snapshot_that_is_torn_changed_or_of_something_else_is_not_used() {
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledger = MadeLedger::new(root.path(), 1);
    for tenant in ["acme", "acme", "acme", "zeta"] {
        ledger.write(&Made::ok(&scope(tenant), "chat.send"));
    }
    let set = of_root(root.path());
    let store = SnapshotStore::open(snapshots.path()).unwrap();
    let open = |tenant: &str| Folded::open(&prod(&set, tenant), Counting::<1>("a"), &store).unwrap();
    open("acme").save();
    assert_eq!(open("acme").start(), &Start::Snapshot);
    let file = only_file(snapshots.path());
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&file, bytes).unwrap();
        let folded = open("acme");
        assert!(matches!(folded.start(), Start::Refused { .. }), "{what}: {:?}", folded.start());
        assert_eq!(*folded.state(), 3, "{what}");
    };
    for cut in 0..whole.len() {
        if cut % 17 == 0 || cut > whole.len() - 3 {
            refused(&whole[..cut], &format!("cut to {cut}"));
        }
    }
    for at in (0..whole.len()).step_by(13) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        refused(&flipped, &format!("flipped at {at}"));
    }
    // Another tenant's file, whole and under this one's name.
    fs::write(&file, &whole).unwrap();
    open("zeta").save();
    let zeta = files_below(snapshots.path()).into_iter().find(|path| *path != file).unwrap();
    refused(&fs::read(zeta).unwrap(), "another tenant's");
    assert!(matches!(open("acme").start(), Start::Refused { reason } if reason == "it is of another scope"));
    fs::write(&file, &whole).unwrap();
    let later = Folded::open(&prod(&set, "acme"), Counting::<2>("a"), &store).unwrap();
    assert!(matches!(later.start(), Start::Refused { reason } if reason.contains("version 1")), "{later:?}");
    assert_eq!(*later.state(), 3);
    // Another config has a file of its own.
    let other = Folded::open(&prod(&set, "acme"), Counting::<1>("b"), &store).unwrap();
    assert_eq!((other.start(), *other.state()), (&Start::Zero, 3));
    assert_eq!(open("acme").start(), &Start::Snapshot);
}

#[test]
fn no_tenant_is_in_another_ones_files_or_state() {
    let mut random = Random::new();
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledgers = three(root.path());
    let tenants: Vec<String> = (0..50).map(|number| format!("tenant-{number:02}")).collect();
    let canary = |tenant: &str| format!("canary-of-{tenant}-end");
    for _ in 0..6 {
        for ledger in &mut ledgers {
            for tenant in &tenants {
                let canary = canary(tenant);
                let rest = format!(
                    r#","source_refs":[{{"kind":"sensor","id":"{canary}"}}],"input":{{"provider":"{canary}","cost":1}},"output":{{"said":"{canary}"}}"#
                );
                let (scope, code) = (scope(tenant), format!("chat.{canary}"));
                ledger.now += random.below(1_000_000) as i64;
                ledger.write(&Made { rest: &rest, ..Made::ok(&scope, "budget.check") });
                ledger.write(&Made { rest: &rest, ..Made::ok(&scope, "chat.send") });
                let surface = format!("chat.{canary}");
                ledger.write(&Made {
                    outcome: Outcome::Error,
                    code: Some(&code),
                    ..Made::ok(&scope, &surface)
                });
            }
        }
    }
    let set = of_root(root.path());
    let store = SnapshotStore::open(snapshots.path()).unwrap();
    // All tenants at once, on several threads over one set.
    std::thread::scope(|threads| {
        for part in tenants.chunks(13) {
            let (set, store) = (&set, &store);
            threads.spawn(move || {
                fn save<M: ReadModel>(model: fn() -> M, scope: &SetScope, store: &SnapshotStore) {
                    let mut folded = Folded::open(scope, model(), store).unwrap();
                    assert!(folded.save().is_saved, "{:?}", folded.last_refresh());
                    assert_eq!(folded.snapshot().events, 54);
                }
                for tenant in part {
                    for_every_model!(save(&prod(set, tenant), store));
                }
            });
        }
    });
    let folders: Vec<_> =
        fs::read_dir(snapshots.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 50);
    let mut seen = Vec::new();
    for folder in folders {
        let mut found = Vec::new();
        let files = files_below(&folder);
        assert_eq!(files.len(), 7);
        for file in files {
            let name = file.strip_prefix(snapshots.path()).unwrap().to_string_lossy().into_owned();
            let contents = fs::read_to_string(&file).unwrap();
            assert!(!name.contains("tenant"), "{name}");
            found.extend(tenants.iter().filter(|tenant| contents.contains(&canary(tenant))));
            found.extend(tenants.iter().filter(|tenant| contents.contains(&format!("\"{tenant}\""))));
        }
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 1, "{}: {found:?}", folder.display());
        seen.extend(found);
    }
    seen.sort_unstable();
    assert_eq!(seen, tenants.iter().collect::<Vec<_>>(), "each tenant's canary is in its own files");
}

#[test]
fn snapshots_are_written_after_so_many_events_and_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledger = MadeLedger::new(root.path(), 1);
    let store = SnapshotStore::open(snapshots.path().join("new")).unwrap();
    let set = of_root(root.path());
    let mut folded = Folded::open(&prod(&set, "acme"), Counting::<1>(""), &store).unwrap().save_every(10);
    for round in 1..=20 {
        ledger.write(&Made::ok(&scope("acme"), "chat.send"));
        assert_eq!(folded.refresh().is_saved, round % 10 == 0, "after {round}");
    }
    let file = only_file(snapshots.path());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    // What a dead process left goes once it is an hour old.
    let (old, young) = (file.with_file_name("old.unfinished"), file.with_file_name("young.unfinished"));
    for path in [&old, &young] {
        fs::write(path, "half").unwrap();
    }
    let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7_300);
    fs::File::options().write(true).open(&old).unwrap().set_modified(hours_ago).unwrap();
    drop(Folded::open(&prod(&set, "acme"), Counting::<1>(""), &store).unwrap());
    assert_eq!((old.exists(), young.exists()), (false, true));
}

#[test]
fn what_is_left_of_every_scope_is_held_to_a_fold_from_zero() {
    let mut random = Random::new();
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut ledgers = three(root.path());
    for ledger in &mut ledgers {
        ledger.write_random(&mut random, &[scope("acme"), scope("globex")], 60, 1_000_000);
    }
    let (set, store) = (of_root(root.path()), SnapshotStore::open(snapshots.path()).unwrap());
    assert_eq!(assert_rebuilt(|| Activity, &set, &store), 0, "nothing was saved");
    assert!(Folded::open(&prod(&set, "acme"), Activity, &store).unwrap().save().is_saved);
    ledgers[0].write_random(&mut random, &[scope("acme")], 20, 1_000_000);
    assert_eq!(assert_rebuilt(|| Activity, &set, &store), 1, "folded on from where it was saved");
}

/// Counts in steps that are not in its config: a snapshot of other steps passes for its own.
struct Stepping(u64);

impl ReadModel for Stepping {
    type State = u64;
    const NAME: &'static str = "stepping";
    const VERSION: u32 = 1;

    fn apply(&self, state: &mut u64, _event: &DatasetEvent) {
        *state += self.0;
    }
}

#[test]
#[should_panic(expected = "its snapshot against a fold from zero")]
fn a_snapshot_that_is_not_what_its_events_fold_to_is_told() {
    let mut random = Random::new();
    let (root, snapshots) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for ledger in &mut three(root.path()) {
        ledger.write_random(&mut random, &[scope("acme")], 10, 1_000_000);
    }
    let (set, store) = (of_root(root.path()), SnapshotStore::open(snapshots.path()).unwrap());
    assert!(Folded::open(&prod(&set, "acme"), Stepping(2), &store).unwrap().save().is_saved);
    assert_rebuilt(|| Stepping(1), &set, &store);
}
