//! The guards of one site, and the order in which they check a request.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use tokio::time::Instant;

use super::admission_effects::AdmissionEffects;
use super::forward_auth::{Decision, ForwardAuth};
use super::networks::NetworkOptions;
use super::options::GuardOptions;
use super::rate_limit::{RateLimitOptions, RateLimiter};
use super::size_limits::SizeLimits;
use crate::proxy::error::{Error, GuardRefusal};
use crate::proxy::guards::basic_auth::{BasicAuth, HashingLimit};
use crate::proxy::request::RequestContext;
use crate::upstream::{RequestBody, ResponseBody, TlsError, UpstreamContext};

/// The guards of one site. A guard that the site does not configure is absent.
#[derive(Debug)]
pub struct Guards {
    sizes: SizeLimits,
    networks: Option<NetworkOptions>,
    rate_limits: Vec<Arc<RateLimiter>>,
    basic_auth: Option<Arc<BasicAuth>>,
    forward_auth: Option<Arc<ForwardAuth>>,
    request_timeout: Option<Duration>,
    hsts: Option<HeaderValue>,
}

/// Outcome of all guards for one request.
pub(crate) enum GuardOutcome {
    /// The request goes on, with the effects of the guards if there are any.
    Admitted(Option<Box<AdmissionEffects>>),
    /// The forward-auth server answered the request instead of the app.
    Answered(Box<Response<ResponseBody>>),
}

impl Guards {
    /// Creates the guards of `options`. `hashing_limit` bounds the verification of passwords; the forward-auth server
    /// is reached by way of `context`. Fails if TLS to that server cannot be set up.
    pub fn new(
        options: &GuardOptions,
        hashing_limit: &Arc<HashingLimit>,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        Self::carrying_over(None, options, hashing_limit, context)
    }

    /// Like [`Self::new`], but a guard that `previous` has with the same options is kept together with its state.
    pub fn carrying_over(
        previous: Option<&Self>,
        options: &GuardOptions,
        hashing_limit: &Arc<HashingLimit>,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        let networks = &options.networks;
        let previous_limits = previous.map_or(&[][..], |previous| &previous.rate_limits);
        let basic_auth = options.basic_auth.as_ref().and_then(|options| {
            let known = previous.and_then(|previous| previous.basic_auth.as_ref());
            match known.filter(|known| known.options() == options) {
                Some(known) => Some(Arc::clone(known)),
                None => BasicAuth::new(options, hashing_limit, context.workers).map(Arc::new),
            }
        });
        let forward_auth = options.forward_auth.as_ref().map(|options| {
            let known = previous.and_then(|previous| previous.forward_auth.as_ref());
            Ok(match known {
                Some(known) if known.is_current(options, context)? => Arc::clone(known),
                _ => Arc::new(ForwardAuth::new(options, context)?),
            })
        });
        Ok(Self {
            sizes: SizeLimits::new(options),
            networks: (!networks.is_empty()).then(|| networks.clone()),
            rate_limits: rate_limits(&options.rate_limits, previous_limits.to_vec()),
            basic_auth,
            forward_auth: forward_auth.transpose()?,
            request_timeout: options.request_timeout,
            hsts: options.hsts.as_ref().map(|hsts| hsts.value()),
        })
    }

    /// Value of Strict-Transport-Security for the site's responses.
    pub(crate) fn hsts(&self) -> Option<HeaderValue> {
        // Copied, since all cores would write the reference count of a shared value.
        let hsts = self.hsts.as_ref()?;
        HeaderValue::from_bytes(hsts.as_bytes()).ok()
    }

    /// Checks a request: sizes first, then the client's network and rate, then its credentials. The cheap checks come
    /// first, and a client over its rate costs no hashing.
    pub(crate) async fn check(
        &self,
        request: &mut Request<RequestBody>,
        context: &RequestContext<'_>,
    ) -> Result<GuardOutcome, Error> {
        let deadline = self.request_timeout.map(|limit| Instant::now() + limit);
        self.sizes.check(request, context)?;
        self.check_client(request, context)?;
        let admission = AdmissionEffects {
            grant: None,
            deadline,
        };
        let asked = admission.within(self.identify(request, context)).await?;
        let grant = match asked {
            None => None,
            Some(Decision::Pass(grant)) => Some(grant),
            Some(Decision::Refuse(answer)) => return Ok(GuardOutcome::Answered(answer)),
        };
        let is_needed = grant.is_some() || deadline.is_some();
        Ok(GuardOutcome::Admitted(
            is_needed.then(|| Box::new(AdmissionEffects { grant, deadline })),
        ))
    }

    fn check_client<B>(
        &self,
        request: &Request<B>,
        context: &RequestContext<'_>,
    ) -> Result<(), Error> {
        let client = context.conn.client_ip(request.headers());
        let networks = self.networks.as_ref();
        if !networks.is_none_or(|networks| networks.admits(client)) {
            return Err(GuardRefusal::Network.into());
        }
        for limit in &self.rate_limits {
            limit
                .take(client)
                .map_err(|retry_after| GuardRefusal::RateLimited { retry_after })?;
        }
        Ok(())
    }

    async fn identify(
        &self,
        request: &mut Request<RequestBody>,
        context: &RequestContext<'_>,
    ) -> Result<Option<Decision>, Error> {
        if let Some(basic_auth) = &self.basic_auth {
            basic_auth
                .check(request.headers_mut(), context.worker)
                .await?;
        }
        match &self.forward_auth {
            None => Ok(None),
            Some(forward_auth) => forward_auth.ask(request, context).await.map(Some),
        }
    }
}

/// Returns a limiter for each of `limits`: a `previous` one with the same options where there is one, else a new one.
fn rate_limits(
    limits: &[RateLimitOptions],
    mut previous: Vec<Arc<RateLimiter>>,
) -> Vec<Arc<RateLimiter>> {
    let limiter = |options: &RateLimitOptions| {
        let known = previous.iter().position(|known| known.options() == options);
        known.map_or_else(
            || Arc::new(RateLimiter::new(options)),
            |index| previous.remove(index),
        )
    };
    limits.iter().map(limiter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::request::{ConnInfo, TrustedProxies};
    use crate::tasks::Tasks;

    /// `true` if a client is denied whose request comes through a proxy at 10.0.0.1.
    fn is_denied(client: &'static str, is_trusted: bool) -> bool {
        let options = GuardOptions {
            networks: NetworkOptions {
                deny: vec!["192.0.2.0/24".parse().unwrap()],
                ..NetworkOptions::default()
            },
            ..GuardOptions::default()
        };
        let guards = Guards::new(
            &options,
            &Arc::default(),
            &UpstreamContext::new(Tasks::new()),
        )
        .unwrap();
        let conn = ConnInfo::new("10.0.0.1:1".parse().unwrap(), None);
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
        let conn = if is_trusted {
            conn.trusting(Arc::new(trusted))
        } else {
            conn
        };
        let request = Request::get("/").header("host", "www.example.org");
        let request = request.header("x-forwarded-for", client).body(()).unwrap();
        let context = RequestContext::new(&request, &conn, 0);
        guards.check_client(&request, &context).is_err()
    }

    #[test]
    fn a_client_behind_a_trusted_proxy_is_judged_by_its_own_address() {
        assert!(is_denied("192.0.2.7", true));
        assert!(!is_denied("198.51.100.7", true));
        assert!(!is_denied("192.0.2.7", false));
    }
}
