//! What the operator's endpoint has answered lately, name by name. In memory only and bounded.

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

/// How many names are remembered; those that nobody asks for leave first.
const NAMES: NonZeroUsize = NonZeroUsize::new(65_536).expect("it is not zero");
/// How long a yes holds when the endpoint does not say.
const YES: Duration = Duration::from_secs(3600);
/// How long a no holds when the endpoint does not say.
const NO: Duration = Duration::from_secs(300);
/// How soon an endpoint that is down is asked again.
const DOWN: Duration = Duration::from_secs(5);
/// How long any answer holds at most, whatever the endpoint says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(crate) type Verdict = Result<(), Arc<AskError>>;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// Whether the name has passed the bound on all new names, or need not.
    pub(super) is_admitted: bool,
}

/// The answers that still hold.
#[derive(Debug)]
pub(super) struct AskCache(Mutex<LruCache<HostName, (Instant, Answer)>>);

impl AskCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(NAMES)))
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

    /// Keeps an answer for its time. Nothing is kept for no time at all.
    pub(crate) fn keep(&self, name: &HostName, answer: Answer, time: Duration) {
        let mut answers = self.0.lock();
        if time.is_zero() {
            answers.pop(name);
        } else {
            answers.put(name.clone(), (Instant::now() + time, answer));
        }
    }

    /// Notes that a name has passed the bound on all new names.
    pub(super) fn admit(&self, name: &HostName) {
        if let Some((_, answer)) = self.0.lock().peek_mut(name) {
            answer.is_admitted = true;
        }
    }
}

/// How long an answer holds: as long as its `Cache-Control` says (RFC 9111 section 5.2.2), else an
/// hour for a yes and five minutes for a no. An endpoint that is down has not answered.
pub(crate) fn lifetime(verdict: &Verdict, headers: &HeaderMap) -> Duration {
    let own = match verdict {
        Ok(()) => YES,
        Err(error) if error.is_down() => return DOWN,
        Err(_) => NO,
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
    time.min(LONGEST)
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
    fn an_answer_holds_as_long_as_the_endpoint_says() {
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
    async fn answers_are_forgotten_in_time_and_bounded() {
        let answers = AskCache::new();
        let name = |text: &str| HostName::parse(text).unwrap();
        let yes = || Answer {
            verdict: Ok(()),
            is_admitted: true,
        };
        answers.keep(&name("a.example.org"), yes(), YES);
        tokio::time::advance(YES - Duration::from_secs(1)).await;
        assert!(answers.find(&name("a.example.org")).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(answers.find(&name("a.example.org")).is_none());
        for n in 0..NAMES.get() + 100 {
            answers.keep(&name(&format!("n{n}.example.org")), yes(), YES);
        }
        assert_eq!(answers.0.lock().len(), NAMES.get());
    }
}
