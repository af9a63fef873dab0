//! Bursts of calls, timed by the wall and by the thread's CPU clock.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Calls in a burst: as many as an idle core runs through without losing the CPU.
pub(crate) const BURST: usize = 500;

/// What one burst cost, in nanoseconds a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Burst {
    pub(crate) wall: f64,
    /// The calling thread's CPU time: what is left when the machine is shared with others.
    pub(crate) cpu: f64,
}

/// CPU time of the calling thread, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Runs bursts of `calls` calls; `between` lets whoever works behind the caller catch up.
pub(crate) fn bursts(
    count: usize,
    calls: usize,
    mut call: impl FnMut(u64),
    mut between: impl FnMut(),
) -> Vec<Burst> {
    const WARM_UP: usize = 3;
    let mut measured = Vec::with_capacity(count);
    let mut number = 0;
    for burst in 0..count + WARM_UP {
        between();
        let (wall, cpu) = (Instant::now(), thread_cpu_ns());
        for _ in 0..calls {
            number += 1;
            call(number);
        }
        let cpu = thread_cpu_ns() - cpu;
        let wall = wall.elapsed().as_nanos() as u64;
        if burst >= WARM_UP {
            measured.push(Burst { wall: wall as f64 / calls as f64, cpu: cpu as f64 / calls as f64 });
        }
    }
    measured
}

/// The value below which `share` of the values lie; `values` must not be empty.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// The spread of what was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    pub(crate) min: f64,
    pub(crate) p99: f64,
    pub(crate) cpu_p50: f64,
}

impl Spread {
    pub(crate) fn of(bursts: &[Burst]) -> Self {
        let mut wall: Vec<f64> = bursts.iter().map(|burst| burst.wall).collect();
        let mut cpu: Vec<f64> = bursts.iter().map(|burst| burst.cpu).collect();
        Self {
            p50: quantile(&mut wall, 0.5),
            min: quantile(&mut wall, 0.0),
            p99: quantile(&mut wall, 0.99),
            cpu_p50: quantile(&mut cpu, 0.5),
        }
    }
}
