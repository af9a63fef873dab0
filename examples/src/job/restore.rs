//! Ledgers put together again from a replica, when the disk they were written on is gone.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;

/// From where to where.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The replica: `s3://bucket/prefix`, or a directory
    #[arg(long, value_name = "PLACE")]
    replica: String,
    /// The directory that the ledgers are put into; what was restored there before is continued
    #[arg(long, value_name = "DIR", default_value = "var/restored")]
    into: PathBuf,
}

/// Restores every ledger of the replica, verifies it, and says up to where it is there. Whether all verify.
#[cfg(feature = "sinks")]
pub(crate) fn run(args: &RestoreArgs) -> Result<bool, Box<dyn Error>> {
    use dataset_events::sinks::replica::ReplicaSettings;
    use dataset_events::sources::{ReplicaSource, Restored};

    let settings = match args.replica.contains("://") {
        true => ReplicaSettings::url(&args.replica)?,
        false => ReplicaSettings::directory(&args.replica),
    };
    let restored = Restored::new(&args.into, ReplicaSource::new(settings));
    let found = restored.refresh()?;
    if found.ledgers.is_empty() && found.failed.is_empty() {
        return Err(format!("restore from {}: no ledger was forwarded there", args.replica).into());
    }
    let mut are_verified = found.failed.is_empty();
    for ledger in &found.ledgers {
        are_verified &= tell(&restored.path(ledger.ledger_id), ledger)?;
    }
    for (ledger_id, error) in &found.failed {
        eprintln!("ledger {ledger_id}: {error}");
    }
    Ok(are_verified)
}

#[cfg(feature = "sinks")]
fn tell(
    path: &std::path::Path,
    ledger: &dataset_events::sources::RestoredLedger,
) -> Result<bool, Box<dyn Error>> {
    use std::time::{SystemTime, UNIX_EPOCH};

    use dataset_events::{LedgerReader, VerifyOptions, verify};

    let verdict = verify(path, &VerifyOptions::new())?;
    let operator = LedgerReader::open(path)?.unrecorded_operator();
    let newest = operator.events().newest_first().iter().next().transpose()?;
    let service = newest.as_ref().map_or("nobody", |stored| &stored.event.writer.service);
    println!("Ledger {} of {service}, restored in {}", ledger.ledger_id, path.display());
    if let Some(stored) = &newest {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let age_us = now.saturating_sub(u128::try_from(stored.event.recorded_at).unwrap_or_default());
        println!(
            "Its newest event was recorded {:.1} s ago, at {} us since 1970; what came after it, up to the loss of the \
             disk, is the loss.",
            age_us as f64 / 1e6,
            stored.event.recorded_at
        );
    }
    if let Some(gap) = &ledger.gap {
        println!("{gap}");
    }
    println!("{}\n", verdict.to_string().trim_end());
    Ok(verdict.is_verified() && ledger.gap.is_none())
}

/// This build has no replica.
#[cfg(not(feature = "sinks"))]
pub(crate) fn run(args: &RestoreArgs) -> Result<bool, Box<dyn Error>> {
    Err(format!(
        "restore from {} into {}: this build reads no replica; `cargo run --release --features sinks -- restore ..` does",
        args.replica,
        args.into.display()
    )
    .into())
}
