//! What is demanded of coverage, and what is missing.

use std::fmt;

use super::{Coverage, SurfaceCoverage, table};

/// What [`Coverage::check`] demands. By default: every surface of the crates was seen to succeed, and to fail
/// unless it says why it cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Demand {
    /// Whether every code that an error type declares must be seen, at each surface with that error type.
    pub is_of_all_codes: bool,
}

impl Demand {
    /// Also demands that each declared code is seen.
    #[must_use]
    pub fn all_codes(mut self) -> Self {
        self.is_of_all_codes = true;
        self
    }
}

/// One thing that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// The crate contributes no annotated function.
    NothingLinked {
        /// The crate.
        crate_name: String,
    },
    /// A required surface is that of no linked function.
    NotLinked {
        /// The surface.
        surface: String,
    },
    /// No call was seen to succeed.
    NeverSucceeded(SurfaceCoverage),
    /// No call was seen to fail, and the attribute does not say why it cannot.
    NeverFailed(SurfaceCoverage),
    /// A call failed of which the attribute says that it cannot.
    FailedThoughItCannot(SurfaceCoverage),
    /// Codes that the error type declares were not seen.
    CodesNeverSeen(SurfaceCoverage),
}

/// Coverage is not what was demanded. `Display` is a table of what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotCovered {
    /// What is missing.
    pub gaps: Vec<Gap>,
}

impl Coverage {
    /// Holds the surfaces of some crates against a demand.
    ///
    /// # Errors
    ///
    /// [`NotCovered`], with everything that is missing:
    ///
    /// - a crate without a linked annotated function;
    /// - a [required](Self::require) surface that is not there, whatever its crate;
    /// - a surface that was not seen to succeed;
    /// - one that was not seen to fail and has no `cannot_fail`;
    /// - one with `cannot_fail` that was seen to fail;
    /// - with [`Demand::all_codes`], one of whose declared codes not all were seen.
    pub fn check(&self, crates: &[&str], demand: Demand) -> Result<(), NotCovered> {
        let mut gaps = Vec::new();
        for name in crates {
            let name = name.replace('-', "_");
            let mut is_linked = false;
            for surface in self.surfaces.iter().filter(|surface| surface.crate_name == name) {
                is_linked = true;
                gaps_of(surface, demand, &mut gaps);
            }
            if !is_linked {
                gaps.push(Gap::NothingLinked { crate_name: name });
            }
        }
        for required in &self.required {
            if self.surfaces.iter().all(|surface| surface.surface != *required) {
                gaps.push(Gap::NotLinked { surface: required.clone() });
            }
        }
        if gaps.is_empty() { Ok(()) } else { Err(NotCovered { gaps }) }
    }
}

fn gaps_of(surface: &SurfaceCoverage, demand: Demand, gaps: &mut Vec<Gap>) {
    if !surface.is_ok {
        gaps.push(Gap::NeverSucceeded(surface.clone()));
    }
    match (&surface.cannot_fail, surface.has_failed) {
        (Some(_), true) => gaps.push(Gap::FailedThoughItCannot(surface.clone())),
        (None, false) => gaps.push(Gap::NeverFailed(surface.clone())),
        _ => {}
    }
    if demand.is_of_all_codes && surface.cannot_fail.is_none() && !surface.codes_never_seen.is_empty() {
        gaps.push(Gap::CodesNeverSeen(surface.clone()));
    }
}

impl Gap {
    /// The subject, what is missing, and where.
    fn row(&self) -> Vec<String> {
        let (subject, what, place) = match self {
            Self::NothingLinked { crate_name } => (
                crate_name.clone(),
                format!("no annotated function of `{crate_name}` is linked; a test must name the crate"),
                String::new(),
            ),
            Self::NotLinked { surface } => (
                surface.clone(),
                "required, but no linked function is annotated with it".to_owned(),
                String::new(),
            ),
            Self::NeverSucceeded(surface) if !surface.is_entered => {
                (surface.surface.clone(), "never called".to_owned(), surface.place())
            }
            Self::NeverSucceeded(surface) => {
                (surface.surface.clone(), "never seen to succeed".to_owned(), surface.place())
            }
            Self::NeverFailed(surface) => {
                (surface.surface.clone(), "never seen to fail".to_owned(), surface.place())
            }
            Self::FailedThoughItCannot(surface) => {
                let reason = surface.cannot_fail.as_deref().unwrap_or_default();
                let what = format!("failed with {}, but cannot: {reason}", surface.codes_seen.join(", "));
                (surface.surface.clone(), what, surface.place())
            }
            Self::CodesNeverSeen(surface) => {
                let what = format!("codes never seen: {}", surface.codes_never_seen.join(", "));
                (surface.surface.clone(), what, surface.place())
            }
        };
        vec![subject, what, place]
    }
}

impl fmt::Display for NotCovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "coverage is incomplete:\n")?;
        let rows: Vec<_> = self.gaps.iter().map(Gap::row).collect();
        table::write(f, &["surface", "what is missing", "function"], &rows)?;
        write!(
            f,
            "\nhelp: add a test for each; for a function that cannot fail write `cannot_fail = \"reason\"`"
        )
    }
}

impl std::error::Error for NotCovered {}

/// Asserts that the tests of this binary exercised every surface of the named crates.
///
/// It runs the test binary once more without the test that it stands in, and looks at what that run
/// exercised, together with what else lies in the directory of `DATASET_EVENTS_COVERAGE`, where it is set. It
/// panics with a table of what is missing: see [`Coverage::check`](crate::testing::coverage::Coverage::check).
///
/// ```no_run
/// # use dataset_events::testing::{assert_covered, coverage};
/// # fn test() -> Result<(), coverage::CoverageError> {
/// assert_covered!(crate);                 // the crate of the test itself
/// assert_covered!(crate; all_codes);      // each declared code was seen, too
/// // What was seen elsewhere, and surfaces that must be there:
/// let seen = coverage::merged("target/coverage")?.require(&["orders.create"]);
/// assert_covered!(coverage = seen; crate);
/// # Ok(())
/// # }
/// ```
///
/// A named crate must be a dependency of the test; naming it links it.
///
/// # Panics
///
/// When something is missing, or the tests fail.
#[macro_export]
macro_rules! assert_covered {
    (@link crate) => {};
    (@link $krate:ident) => {
        #[allow(unused_imports)]
        use ::$krate as _;
    };
    (@name crate) => {
        ::core::module_path!().split("::").next().unwrap_or_default()
    };
    (@name $krate:ident) => {
        ::core::stringify!($krate)
    };
    (coverage = $coverage:expr; $($krate:ident),+ $(,)? $(; $demand:ident)?) => {{
        $($crate::assert_covered!(@link $krate);)+
        let demand = $crate::testing::coverage::Demand::default()$(.$demand())?;
        let coverage: $crate::testing::coverage::Coverage = $coverage;
        if let ::core::result::Result::Err(missing) =
            coverage.check(&[$($crate::assert_covered!(@name $krate)),+], demand)
        {
            ::core::panic!("{missing}");
        }
    }};
    ($($krate:ident),+ $(,)? $(; $demand:ident)?) => {{
        fn here() {}
        match $crate::testing::coverage::without_test(::core::any::type_name_of_val(&here)) {
            ::core::result::Result::Ok(coverage) => {
                $crate::assert_covered!(coverage = coverage; $($krate),+ $(; $demand)?)
            }
            ::core::result::Result::Err(error) => ::core::panic!("{error}"),
        }
    }};
}
