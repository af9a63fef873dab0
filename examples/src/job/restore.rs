//! Ledgers put together again from a replica, when the disk they were written on is gone.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;

/// From where to where.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The replica: `s3://bucket/prefix`, or a directory. Credentials and options of a store come from its variables,
    /// such as `AWS_ENDPOINT` for `endpoint`
    #[arg(long, value_name = "PLACE")]
    replica: String,
    /// The directory that the ledgers are put into; what was restored there before is continued
    #[arg(long, value_name = "DIR", default_value = "var/restored")]
    into: PathBuf,
}

/// Restores every ledger of the replica, verifies it, and says up to where it is there. Whether all are whole and
/// verify; one that cannot be read does not keep the others from being told.
#[cfg(feature = "sinks")]
pub(crate) fn run(args: &RestoreArgs) -> Result<bool, Box<dyn Error>> {
    use dataset_events::sinks::replica::ReplicaSettings;
    use dataset_events::sources::{ReplicaSource, Restored};

    use crate::services::with_causes;

    let settings = match args.replica.contains("://") {
        true => ReplicaSettings::url(&args.replica)?,
        false => ReplicaSettings::directory(&args.replica),
    };
    let restored = Restored::new(&args.into, ReplicaSource::new(settings));
    let found = restored.refresh()?;
    if found.ledgers.is_empty() && found.failed.is_empty() {
        return Err(format!("restore from {}: no ledger was forwarded there", args.replica).into());
    }
    let mut are_whole = true;
    for ledger in &found.ledgers {
        let told = tell(&restored.path(ledger.ledger_id), ledger);
        are_whole &= told.unwrap_or_else(|error| {
            eprintln!("ledger {}: {}", ledger.ledger_id, with_causes(&*error));
            false
        });
    }
    for (ledger_id, error) in &found.failed {
        eprintln!("ledger {ledger_id}: {}", with_causes(error));
        are_whole = false;
    }
    Ok(are_whole)
}

#[cfg(feature = "sinks")]
fn tell(
    path: &std::path::Path,
    ledger: &dataset_events::sources::RestoredLedger,
) -> Result<bool, Box<dyn Error>> {
    use std::time::{SystemTime, UNIX_EPOCH};

    use dataset_events::{LedgerReader, VerifyOptions, verify};

    println!("Ledger {}, restored in {}", ledger.ledger_id, path.display());
    if let Some(gap) = &ledger.gap {
        println!("{gap}");
    }
    if let Some(number) = ledger.missing_checkpoint {
        println!("The replica lacks checkpoint {number}, though it has later ones.");
    }
    let verdict = verify(path, &VerifyOptions::new())?;
    println!("{}", verdict.to_string().trim_end());
    let operator = LedgerReader::open(path)?.unrecorded_operator();
    if let Some(stored) = operator.events().newest_first().iter().next().transpose()? {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let age_us = now.saturating_sub(u128::try_from(stored.event.recorded_at).unwrap_or_default());
        println!(
            "Its newest event was recorded by {} {:.1} s ago, at {} us since 1970; what came after it, up to the loss of \
             the disk, is the loss.\n",
            stored.event.writer.service,
            age_us as f64 / 1e6,
            stored.event.recorded_at
        );
    }
    Ok(verdict.is_verified() && ledger.gap.is_none() && ledger.missing_checkpoint.is_none())
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
