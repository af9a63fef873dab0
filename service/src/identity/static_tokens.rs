//! Bearer tokens from a list, for development.

use std::fmt;
use std::path::Path;
use std::sync::Once;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use dataset_events::{AuthSubject, TenantId, UserId};

use super::{AuthError, Authenticate, BoxFuture, Credentials, Identity, IdentityConfigError};

static WARNING: Once = Once::new();

/// Authenticates bearer tokens that are listed beforehand. For development only: they neither expire nor rotate.
///
/// Only hashes are kept. A token is hashed and held against every entry in constant time, so that the time of an
/// answer says nothing of the tokens. Making a list writes one warning to standard error for each process.
///
/// ```
/// # use dataset_events_service::StaticTokens;
/// let tokens = StaticTokens::parse("# token tenants user\ndev-7f3a acme,globex u_7\n")?;
/// assert_eq!(tokens.len(), 1);
/// # Ok::<_, dataset_events_service::IdentityConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct StaticTokens {
    entries: Vec<([u8; 32], Identity)>,
}

impl StaticTokens {
    /// A list of tokens and whom each proves.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::StaticToken`]: a token is listed twice, or no `Authorization` header can hold it.
    /// The line is the position in the list, from 1.
    pub fn new<T: AsRef<str>>(
        tokens: impl IntoIterator<Item = (T, Identity)>,
    ) -> Result<Self, IdentityConfigError> {
        let mut list = Self::default();
        for (at, (token, identity)) in tokens.into_iter().enumerate() {
            list.add(at + 1, token.as_ref(), identity)?;
        }
        Ok(list.warned())
    }

    /// Reads lines of the form `token tenant[,tenant] user`; empty lines and those that begin with `#` are left out.
    ///
    /// The subject of a token is `static|<user>`.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::StaticToken`]: a line is not of that form, or its token is listed already.
    pub fn parse(text: &str) -> Result<Self, IdentityConfigError> {
        let mut list = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refused = |reason| IdentityConfigError::StaticToken { line: at + 1, reason };
            let mut words = line.split_whitespace();
            let (Some(token), Some(tenants), Some(user), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(refused("expected `token tenant[,tenant] user`"));
            };
            let user_id = UserId::new(user).map_err(|_| refused("the user is not a user id"))?;
            let subject = AuthSubject::new(format!("static|{user}"));
            let subject = subject.map_err(|_| refused("the user has more than 249 bytes"))?;
            let mut identity = Identity::new(subject).user(user_id);
            for tenant in tenants.split(',') {
                let tenant = TenantId::new(tenant).map_err(|_| refused("a tenant is not a tenant id"))?;
                identity = identity.tenant(tenant);
            }
            list.add(at + 1, token, identity)?;
        }
        Ok(list.warned())
    }

    /// Reads a file of such lines.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::StaticTokensUnreadable`], or as [`parse`](Self::parse).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, IdentityConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let source_name = path.display().to_string();
            IdentityConfigError::StaticTokensUnreadable { source_name, reason: error.to_string() }
        })?;
        Self::parse(&text)
    }

    /// Reads such lines from an environment variable.
    ///
    /// # Errors
    ///
    /// [`IdentityConfigError::StaticTokensUnreadable`], or as [`parse`](Self::parse).
    pub fn from_env(variable: &str) -> Result<Self, IdentityConfigError> {
        let text = std::env::var(variable).map_err(|error| {
            // The error of a variable that is not UTF-8 holds its value.
            let reason = match error {
                std::env::VarError::NotPresent => "the variable is not set",
                std::env::VarError::NotUnicode(_) => "the variable is not UTF-8",
            };
            let source_name = variable.to_owned();
            IdentityConfigError::StaticTokensUnreadable { source_name, reason: reason.to_owned() }
        })?;
        Self::parse(&text)
    }

    /// How many tokens are listed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no token is listed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn add(&mut self, line: usize, token: &str, identity: Identity) -> Result<(), IdentityConfigError> {
        let refused = |reason| IdentityConfigError::StaticToken { line, reason };
        let is_sendable = !token.is_empty()
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
        if !is_sendable {
            return Err(refused("a token has only the characters A-Z a-z 0-9 - . _ ~ + / ="));
        }
        if self.find(token).is_some() {
            return Err(refused("the token is listed already"));
        }
        self.entries.push((hash(token), identity));
        Ok(())
    }

    fn warned(self) -> Self {
        WARNING.call_once(|| {
            eprintln!("warning: static bearer tokens are for development; they neither expire nor rotate");
        });
        self
    }

    fn find(&self, token: &str) -> Option<&Identity> {
        let asked = hash(token);
        let mut found = None;
        for (known, identity) in &self.entries {
            if verify_slices_are_equal(known, &asked).is_ok() {
                found = Some(identity);
            }
        }
        found
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

impl Authenticate for StaticTokens {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Identity, AuthError>> {
        let found = credentials.bearer().map(|token| self.find(token));
        Box::pin(std::future::ready(found.and_then(|found| found.cloned().ok_or(AuthError::InvalidToken))))
    }
}

impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticTokens").field("tokens", &self.entries.len()).finish_non_exhaustive()
    }
}
