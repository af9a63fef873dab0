//! The time base of records: the TSC where it is invariant, else CLOCK_MONOTONIC.

use std::sync::OnceLock;

/// What a tick is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TickSource {
    /// A cycle of an invariant time stamp counter.
    Tsc,
    /// A nanosecond of CLOCK_MONOTONIC.
    Monotonic,
}

/// The source this process uses. Linux itself must trust the TSC as its clock source: only then is it
/// synchronised between cores and kept through frequency changes and idle states.
pub(crate) fn source() -> TickSource {
    static SOURCE: OnceLock<TickSource> = OnceLock::new();
    *SOURCE.get_or_init(|| {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let is_tsc = std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "tsc");
        if cfg!(target_arch = "x86_64") && is_tsc && has_rdtscp() {
            TickSource::Tsc
        } else {
            TickSource::Monotonic
        }
    })
}

#[cfg(target_arch = "x86_64")]
fn has_rdtscp() -> bool {
    // CPUID leaf 0x8000_0001, EDX bit 27. The leaf is there on every CPU with a TSC that Linux trusts.
    core::arch::x86_64::__cpuid(0x8000_0001).edx & 1 << 27 != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_rdtscp() -> bool {
    false
}

/// The time now. May be read before instructions that stand earlier in the program have finished.
#[inline]
pub(crate) fn now(source: TickSource) -> u64 {
    match source {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the source is only `Tsc` when the instruction exists.
        TickSource::Tsc => unsafe { core::arch::x86_64::_rdtsc() },
        _ => monotonic_ns(),
    }
}

/// The time now, read after every earlier load has its value: what was learnt from another thread
/// before this call is also earlier in ticks.
#[inline]
pub(crate) fn now_ordered(source: TickSource) -> u64 {
    match source {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the source is only `Tsc` when the instruction exists.
        TickSource::Tsc => unsafe {
            let mut aux = 0;
            core::arch::x86_64::__rdtscp(&raw mut aux)
        },
        _ => monotonic_ns(),
    }
}

/// The time now, read before any later load: what is published after it may be missed, nothing before.
pub(crate) fn now_before_reads(source: TickSource) -> u64 {
    let now = now_ordered(source);
    #[cfg(target_arch = "x86_64")]
    if source == TickSource::Tsc {
        // SAFETY: SSE2 is part of x86_64.
        unsafe { core::arch::x86_64::_mm_lfence() };
    }
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    now
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: time is writable; both clocks used exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME in nanoseconds since 1970.
pub(crate) fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}
