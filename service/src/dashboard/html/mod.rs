//! From values to HTML. Nothing else makes HTML, and nothing here takes a text for markup.

mod axis;
mod blocks;
mod layout;
mod plot;
mod time_axis;
mod time_bars;

use maud::{Markup, html};

pub(super) use blocks::{blocks, cell, table};
pub(super) use layout::{Frame, Nav, Page, address, bare_page, page};

use super::format::{Moment, ago, ahead, visible};

/// A text of unknown origin.
pub(super) fn text(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// A name that programs use. A long one is cut by the style; its whole is in the page and in the tip.
pub(super) fn name(text: &str) -> Markup {
    let shown = visible(text);
    let is_long = shown.chars().count() > 40;
    html! { bdi.name title=[is_long.then_some(&shown)] { (shown) } }
}

/// A moment with its distance from now in the tip.
pub(super) fn time(at_us: i64, now_us: i64) -> Markup {
    time_with_tip(at_us, &ago(at_us, now_us))
}

/// A moment that is planned, with its distance from now in the tip.
pub(super) fn time_to_come(at_us: i64, now_us: i64) -> Markup {
    time_with_tip(at_us, &ahead(at_us, now_us))
}

fn time_with_tip(at_us: i64, distance: &str) -> Markup {
    let moment = Moment::of(at_us);
    html! {
        time datetime=(moment.iso()) title={ (moment.full()) " UTC, " (distance) } {
            span.date { (moment.date()) } " " span.clock { (moment.clock()) }
        }
    }
}

/// A moment as its distance from now.
pub(super) fn relative_time(at_us: i64, now_us: i64) -> Markup {
    let moment = Moment::of(at_us);
    html! { time datetime=(moment.iso()) title={ (moment.full()) " UTC" } { (ago(at_us, now_us)) } }
}

/// A moment to the millisecond.
pub(super) fn exact_time(at_us: i64, now_us: i64) -> Markup {
    let moment = Moment::of(at_us);
    html! {
        time datetime=(moment.iso()) { (moment.full()) " UTC" }
        span.ago { ", " (ago(at_us, now_us)) }
    }
}
