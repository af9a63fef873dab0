//! The page of what was done: chat, media, vectors.

use dataset_events_service::dashboard::{
    BarChart, Block, Cell, Panel, PanelError, PanelRequest, Table, Tile, Tone,
};

use super::{counted, read, sized, window};
use crate::read_models::{ChatActivity, MediaActivity, VectorActivity};

/// How many of the latest writes are shown.
const SHOWN: usize = 20;

/// What was done in chat, with media and with vectors.
#[derive(Debug, Clone, Copy, Default)]
pub struct ActivityPanel;

impl Panel for ActivityPanel {
    fn id(&self) -> &str {
        "activity"
    }

    fn title(&self) -> &str {
        "Chat, media, vectors"
    }

    fn description(&self) -> &str {
        "What was written, stored and looked for in the window."
    }

    fn render(&self, request: &PanelRequest<'_>) -> Result<Vec<Block>, PanelError> {
        let window = window(request);
        let (chat, media, vector) = read(request, |state| {
            (state.chat.view(window, SHOWN), state.media.view(window, SHOWN), state.vector.view(window))
        })?;
        let mut blocks = chat_blocks(&chat);
        blocks.extend(media_blocks(&media));
        blocks.extend(vector_blocks(&vector));
        Ok(blocks)
    }
}

fn refused(denied: u64, failed: u64) -> Tile {
    let tone = if failed > 0 { Tone::Warning } else { Tone::Neutral };
    Tile::new("Denied or failed", Cell::count(denied + failed)).tone(tone).note(format!("{denied} denied"))
}

fn chat_blocks(chat: &ChatActivity) -> Vec<Block> {
    let counts = chat.counts;
    let columns = ["Call", "Ended", "Code", "By", "At"];
    let table = Table::new("Latest in chat", &columns).when_empty("Nothing was written yet.");
    let table = chat.latest.iter().fold(table, |table, action| {
        table.row([
            Cell::name(&action.surface),
            Cell::outcome(action.outcome),
            Cell::or_none(action.code.as_ref(), Cell::name),
            Cell::text(&action.by),
            Cell::event_time(action.event.place()),
        ])
    });
    vec![
        Block::heading("Chat"),
        Block::tiles([
            Tile::new("Threads", Cell::count(counts.threads)),
            Tile::new("Messages", Cell::count(counts.messages)).note(sized(counts.message_bytes)),
            Tile::new("Images", Cell::count(counts.images)).note(sized(counts.image_bytes)),
            Tile::new("Replies", Cell::count(counts.replies))
                .note(format!("{} abandoned", counts.abandoned_replies)),
            refused(counts.denied, counts.failed),
        ]),
        table.into(),
    ]
}

fn media_blocks(media: &MediaActivity) -> Vec<Block> {
    let counts = &media.counts;
    let damaged = if counts.damaged > 0 { Tone::Bad } else { Tone::Good };
    let chart = BarChart::new("Objects by type").when_empty("Nothing was stored yet.");
    let chart = media
        .by_type
        .iter()
        .fold(chart, |chart, (media_type, count)| chart.bar(media_type, *count as f64, Cell::count(*count)));
    vec![
        Block::heading("Media"),
        Block::tiles([
            Tile::new("Objects", Cell::count(media.objects)).note(sized(media.bytes)),
            Tile::new("Stored", Cell::count(counts.stored)).note(counted(
                counts.stored_again,
                "more was there before",
                "more were there before",
            )),
            Tile::new("Fetched", Cell::count(counts.fetched)).note(sized(counts.fetched_bytes)),
            Tile::new("Damaged", Cell::count(counts.damaged)).tone(damaged).note(counted(
                counts.verified,
                "was verified",
                "were verified",
            )),
            refused(counts.denied, counts.failed),
        ]),
        chart.into(),
    ]
}

fn vector_blocks(vector: &VectorActivity) -> Vec<Block> {
    let counts = vector.counts;
    vec![
        Block::heading("Vectors"),
        Block::tiles([
            Tile::new("Documents", Cell::count(vector.documents)).note(counted(
                vector.chunks,
                "chunk",
                "chunks",
            )),
            Tile::new("Ingested", Cell::count(counts.ingested))
                .note(format!("{} unchanged", counts.unchanged)),
            Tile::new("Removed", Cell::count(counts.removed)),
            Tile::new("Queries", Cell::count(counts.queries))
                .note(format!("{} found nothing", counts.queries_without_hits)),
            refused(counts.denied, counts.failed),
        ]),
    ]
}
