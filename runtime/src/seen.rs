//! What this process has seen of a surface: entered, succeeded, failed, with which codes.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::error_code::Code;
use crate::surface::Site;
use crate::testing::coverage::sink::{self, Sighting};

/// What was seen of one surface. A successful call that adds nothing costs one load.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Bits of [`Seen::ENTERED`] and the like.
    flags: AtomicU8,
    /// Bit `n`: failed with the declared code `n`, for the first 64.
    codes: AtomicU64,
    declared: OnceLock<&'static [Code]>,
    /// Other codes that it failed with.
    others: RwLock<Vec<String>>,
}

impl Seen {
    pub(crate) const ENTERED: u8 = 1;
    pub(crate) const OK: u8 = 2;
    pub(crate) const FAILED: u8 = 4;
    pub(crate) const CANCELLED: u8 = 8;

    pub(crate) const fn new() -> Self {
        Self {
            flags: AtomicU8::new(0),
            codes: AtomicU64::new(0),
            declared: OnceLock::new(),
            others: RwLock::new(Vec::new()),
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    #[inline]
    pub(crate) fn entered(&self, site: &'static Site) {
        self.mark(site, Self::ENTERED, Sighting::Entered);
    }

    #[inline]
    pub(crate) fn ok(&self, site: &'static Site) {
        self.mark(site, Self::OK, Sighting::Ok);
    }

    #[cold]
    pub(crate) fn cancelled(&self, site: &'static Site) {
        self.mark(site, Self::CANCELLED, Sighting::Cancelled);
    }

    #[cold]
    pub(crate) fn failed(&self, site: &'static Site, code: &str) {
        self.mark(site, Self::FAILED, Sighting::Failed);
        if self.is_new_code(site, code) {
            sink::note(site, &Sighting::Code(code));
        }
    }

    /// A plain load first, so that a hot site's cache line stays shared.
    #[inline]
    fn mark(&self, site: &'static Site, flag: u8, sighting: Sighting<'_>) {
        if self.flags.load(Ordering::Relaxed) & flag == 0 {
            self.mark_first(site, flag, sighting);
        }
    }

    #[cold]
    fn mark_first(&self, site: &'static Site, flag: u8, sighting: Sighting<'_>) {
        if self.flags.fetch_or(flag, Ordering::Relaxed) & flag == 0 {
            sink::note(site, &sighting);
        }
    }

    /// The codes that the error type lists.
    pub(crate) fn declared(&self, site: &'static Site) -> &'static [Code] {
        match self.declared.get() {
            Some(codes) => codes,
            None => {
                // The program's own code: what it does wrong must not reach the call. And it may call the
                // function, so nothing is held while it runs.
                let codes = catch_unwind(site.codes).unwrap_or_default();
                let _ = self.declared.set(codes);
                codes
            }
        }
    }

    fn is_new_code(&self, site: &'static Site, code: &str) -> bool {
        let listed = self.declared(site).iter().take(64).position(|declared| declared.name() == code);
        if let Some(at) = listed {
            let bit = 1 << at;
            return self.codes.load(Ordering::Relaxed) & bit == 0
                && self.codes.fetch_or(bit, Ordering::Relaxed) & bit == 0;
        }
        let is_known = |others: &[String]| others.iter().any(|other| other == code);
        if is_known(&self.others.read().unwrap_or_else(PoisonError::into_inner)) {
            return false;
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = !is_known(&others);
        if is_new {
            others.push(code.to_owned());
        }
        is_new
    }

    /// The codes that it failed with.
    pub(crate) fn codes(&self, site: &'static Site) -> Vec<String> {
        let bits = self.codes.load(Ordering::Relaxed);
        let listed = self.declared(site).iter().take(64).enumerate();
        let listed = listed.filter(|(at, _)| bits & (1 << at) != 0).map(|(_, code)| code.name().to_owned());
        listed.chain(self.others.read().unwrap_or_else(PoisonError::into_inner).iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::{Access, Guarantee};

    fn site(codes: fn() -> &'static [Code]) -> &'static Site {
        Box::leak(Box::new(Site::new(
            "probe.seen",
            Access::Write,
            Guarantee::Intent,
            "app",
            "seen",
            "app.rs",
            1,
            &[],
            &[],
            &[],
            codes,
            None,
            None,
        )))
    }

    #[test]
    fn each_code_is_seen_once_whether_declared_or_not() {
        let site = site(|| const { &[Code::new("a.one"), Code::new("a.two")] });
        for _ in 0..2 {
            site.seen.failed(site, "a.two");
            site.seen.failed(site, "b.other");
        }
        assert_eq!(site.seen.codes(site), ["a.two", "b.other"]);
        assert!(!site.seen.is_new_code(site, "a.two") && !site.seen.is_new_code(site, "b.other"));
        assert!(site.seen.is_new_code(site, "a.one"));
        assert!(site.has_failed() && !site.was_ok());
    }

    #[test]
    fn more_codes_than_bits_are_told_apart_and_a_list_that_panics_is_empty() {
        static MANY: OnceLock<Vec<Code>> = OnceLock::new();
        let many = site(|| {
            let code = |number| Code::new(Box::leak(format!("a.code_{number}").into_boxed_str()));
            MANY.get_or_init(|| (0..70).map(code).collect())
        });
        many.seen.failed(many, "a.code_63");
        many.seen.failed(many, "a.code_69");
        assert_eq!(many.seen.codes(many), ["a.code_63", "a.code_69"]);
        let panics = site(|| panic!("no list"));
        panics.seen.failed(panics, "a.one");
        assert_eq!(panics.seen.codes(panics), ["a.one"]);
    }

    #[test]
    fn a_dropped_future_neither_succeeds_nor_fails() {
        let site = site(|| &[]);
        site.seen.cancelled(site);
        assert!(!site.was_ok() && !site.has_failed() && site.seen.has(Seen::CANCELLED));
    }
}
