//! The recent answers of the ask endpoint by name. In memory only, and limited in number.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::AskError;
use crate::name::HostName;

/// Limits how many names are cached. The least recently used ones are dropped first.
const MAX_NAMES: NonZeroUsize = NonZeroUsize::new(65_536).expect("it is not zero");
/// Lifetime of a yes if the endpoint does not set one.
const YES_LIFETIME: Duration = Duration::from_secs(3600);
/// Lifetime of a no if the endpoint does not set one.
const NO_LIFETIME: Duration = Duration::from_secs(300);
/// Time after which an endpoint that is down is asked again.
const DOWN_LIFETIME: Duration = Duration::from_secs(5);
/// Limits the lifetime of any answer, whatever the endpoint says.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The decision of the ask endpoint on one name.
pub(crate) type Verdict = Result<(), Arc<AskError>>;

/// A cached answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// `true` if the name was counted against the limit of all new names, or need not be.
    pub(super) is_admitted: bool,
}

/// The answers whose lifetime is not over.
#[derive(Debug)]
pub(super) struct AskCache(Mutex<LruCache<HostName, (Instant, Answer)>>);

impl AskCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MAX_NAMES)))
    }

    pub(crate) fn find(&self, name: &HostName) -> Option<Answer> {
        let mut answers = self.0.lock();
        let (until, answer) = answers.get(name)?;
        if Instant::now() < *until {
            return Some(answer.clone());
        }
        answers.pop(name);
        None
    }

    /// Caches an answer for `time`. With zero, the answer is removed.
    pub(crate) fn keep(&self, name: &HostName, answer: Answer, time: Duration) {
        let mut answers = self.0.lock();
        if time.is_zero() {
            answers.pop(name);
        } else {
            answers.put(name.clone(), (Instant::now() + time, answer));
        }
    }

    /// Marks a name as counted against the limit of all new names.
    pub(super) fn admit(&self, name: &HostName) {
        if let Some((_, answer)) = self.0.lock().peek_mut(name) {
            answer.is_admitted = true;
        }
    }
}

/// Returns the lifetime of an answer: by its `Cache-Control` (RFC 9111 section 5.2.2), else a default for yes and no. The
/// failure of an endpoint that is down has a lifetime of its own.
pub(crate) fn lifetime(verdict: &Verdict, headers: &HeaderMap) -> Duration {
    let own = match verdict {
        Ok(()) => YES_LIFETIME,
        Err(error) if error.is_down() => return DOWN_LIFETIME,
        Err(_) => NO_LIFETIME,
    };
    let directives = headers.get_all(CACHE_CONTROL).iter();
    let directives = directives.filter_map(|value| value.to_str().ok());
    let directives = directives.flat_map(|value| value.split(',')).map(str::trim);
    let mut time = own;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Duration::ZERO,
            "max-age" => {
                let seconds = value.trim().trim_matches('"').parse().ok();
                time = seconds.map_or(own, Duration::from_secs);
            }
            _ => {}
        }
    }
    time.min(MAX_LIFETIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no() -> Verdict {
        Err(Arc::new(AskError::Refused {
            url: "http://localhost/".parse().unwrap(),
            status: 403,
        }))
    }

    fn lifetime_of(verdict: &Verdict, cache_control: &[&'static str]) -> u64 {
        let mut headers = HeaderMap::new();
        for value in cache_control {
            headers.append(CACHE_CONTROL, value.parse().unwrap());
        }
        lifetime(verdict, &headers).as_secs()
    }

    #[test]
    fn the_endpoint_sets_the_lifetime_of_its_answer() {
        for (cache_control, yes, refused) in [
            (&[][..], 3600, 300),
            (&["max-age=7"], 7, 7),
            (&["private, Max-Age=\"90\""], 90, 90),
            (&["private", "max-age=0"], 0, 0),
            (&["max-age=60, no-store"], 0, 0),
            (&["no-cache"], 0, 0),
            (&["max-age=soon"], 3600, 300),
            (&["max-age=999999999"], 86_400, 86_400),
        ] {
            assert_eq!(
                lifetime_of(&Ok(()), cache_control),
                yes,
                "{cache_control:?}"
            );
            assert_eq!(
                lifetime_of(&no(), cache_control),
                refused,
                "{cache_control:?}"
            );
        }
        let down = Err(Arc::new(AskError::Failing {
            url: "http://localhost/".parse().unwrap(),
            status: 503,
        }));
        assert_eq!(lifetime_of(&down, &["max-age=600"]), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_expire_and_are_limited_in_number() {
        let answers = AskCache::new();
        let name = |text: &str| HostName::parse(text).unwrap();
        let yes = || Answer {
            verdict: Ok(()),
            is_admitted: true,
        };
        answers.keep(&name("a.example.org"), yes(), YES_LIFETIME);
        tokio::time::advance(YES_LIFETIME - Duration::from_secs(1)).await;
        assert!(answers.find(&name("a.example.org")).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(answers.find(&name("a.example.org")).is_none());
        for n in 0..MAX_NAMES.get() + 100 {
            answers.keep(&name(&format!("n{n}.example.org")), yes(), YES_LIFETIME);
        }
        assert_eq!(answers.0.lock().len(), MAX_NAMES.get());
    }
}
