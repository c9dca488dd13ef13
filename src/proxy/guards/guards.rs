//! The guards of one site or route, and the order in which they check a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderValue, Request, Response};
use tokio::time::Instant;

use super::admission_effects::AdmissionEffects;
use super::forward_auth::{Decision, ForwardAuth};
use super::networks::Networks;
use super::options::{GuardOptions, Satisfy};
use super::rate_limit::{RateLimitOptions, RateLimiter};
use super::size_limits::SizeLimits;
use crate::proxy::error::{Error, GuardRefusal};
use crate::proxy::guards::basic_auth::{BasicAuth, HashingLimit};
use crate::proxy::request::{ClientIdentity, RequestContext};
use crate::upstream::{RequestBody, ResponseBody, TlsError, UpstreamContext};

/// The guards of one site or route. A guard that it does not configure is absent.
#[derive(Debug)]
pub struct Guards {
    sizes: SizeLimits,
    networks: Option<Networks>,
    satisfy: Satisfy,
    needs_certificate: bool,
    rate_limits: Vec<Arc<RateLimiter>>,
    basic_auth: Option<Arc<BasicAuth>>,
    forward_auth: Option<Arc<ForwardAuth>>,
    request_timeout: Option<Duration>,
    hsts: Option<HeaderValue>,
    reserved: Option<Arc<[HeaderName]>>,
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
        Self::carrying_over(&[], options, hashing_limit, context)
    }

    /// Like [`Self::new`], but a guard that one of `previous` has with the same options is shared together with its
    /// state.
    pub fn carrying_over(
        previous: &[&Self],
        options: &GuardOptions,
        hashing_limit: &Arc<HashingLimit>,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        let previous_limits = previous.iter().flat_map(|it| &it.rate_limits).cloned();
        let basic_auth = options.basic_auth.as_ref().and_then(|options| {
            let mut known = previous.iter().filter_map(|it| it.basic_auth.as_ref());
            match known.find(|known| known.options() == options) {
                Some(known) => Some(Arc::clone(known)),
                None => BasicAuth::new(options, hashing_limit, context.workers).map(Arc::new),
            }
        });
        let forward_auth = options.forward_auth.as_ref().map(|options| {
            for known in previous.iter().filter_map(|it| it.forward_auth.as_ref()) {
                if known.is_current(options, context)? {
                    return Ok(Arc::clone(known));
                }
            }
            Ok(Arc::new(ForwardAuth::new(options, context)?))
        });
        Ok(Self {
            sizes: SizeLimits::new(options),
            networks: Networks::new(&options.networks),
            satisfy: options.satisfy,
            needs_certificate: options.client_certificate,
            rate_limits: rate_limits(&options.rate_limits, previous_limits.collect()),
            basic_auth,
            forward_auth: forward_auth.transpose()?,
            request_timeout: options.request_timeout,
            hsts: options.hsts.as_ref().map(|hsts| hsts.value()),
            reserved: reserved(options),
        })
    }

    /// Value of Strict-Transport-Security for the site's responses.
    pub(crate) fn hsts(&self) -> Option<HeaderValue> {
        // Copied, since all cores would write the reference count of a shared value.
        let hsts = self.hsts.as_ref()?;
        HeaderValue::from_bytes(hsts.as_bytes()).ok()
    }

    /// Checks a request: sizes first, then the client's network, certificate and rate, then its credentials. The cheap
    /// checks come first, and a client over its rate costs no hashing.
    pub(crate) async fn check(
        &self,
        request: &mut Request<RequestBody>,
        context: &RequestContext<'_>,
    ) -> Result<GuardOutcome, Error> {
        let deadline = self.request_timeout.map(|limit| Instant::now() + limit);
        self.sizes.check(request, context)?;
        let client = context.conn.client_ip(request.headers());
        let needs_credentials = self.check_network(client)?;
        self.check_certificate(context)?;
        self.check_rate(client)?;
        let mut admission = AdmissionEffects {
            reserved: self.reserved.clone(),
            grant: None,
            deadline,
        };
        if needs_credentials {
            let asked = admission.within(self.identify(request, context)).await?;
            admission.grant = match asked {
                None => None,
                Some(Decision::Pass(grant)) => Some(grant),
                Some(Decision::Refuse(answer)) => return Ok(GuardOutcome::Answered(answer)),
            };
        } else if let Some(basic_auth) = &self.basic_auth {
            basic_auth.remove_own_credentials(request.headers_mut());
        }
        let is_needed = admission.grant.is_some() || deadline.is_some() || self.reserved.is_some();
        Ok(GuardOutcome::Admitted(
            is_needed.then(|| Box::new(admission)),
        ))
    }

    /// Checks the client's network. Returns `true` if the client needs credentials as well.
    fn check_network(&self, client: IpAddr) -> Result<bool, GuardRefusal> {
        let Some(networks) = &self.networks else {
            return Ok(true);
        };
        if networks.denies(client) {
            return Err(GuardRefusal::Network);
        }
        let is_allowed = networks.allows(client);
        let has_credentials = self.basic_auth.is_some() || self.forward_auth.is_some();
        if self.satisfy == Satisfy::Any && has_credentials && networks.has_allowed() {
            return Ok(!is_allowed);
        }
        if is_allowed {
            Ok(true)
        } else {
            Err(GuardRefusal::Network)
        }
    }

    fn check_certificate(&self, context: &RequestContext<'_>) -> Result<(), GuardRefusal> {
        let identity = context.conn.identity();
        if self.needs_certificate && !identity.is_some_and(ClientIdentity::is_verified) {
            return Err(GuardRefusal::NoClientCertificate);
        }
        Ok(())
    }

    fn check_rate(&self, client: IpAddr) -> Result<(), GuardRefusal> {
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

/// Returns the names of the fields that clients cannot set: those that the forward-auth server sets, and those that
/// other paths of the site reserve.
fn reserved(options: &GuardOptions) -> Option<Arc<[HeaderName]>> {
    let mut names = options.reserved_headers.clone();
    let copied = options.forward_auth.iter();
    names.extend(copied.flat_map(|options| options.copy_headers.iter().cloned()));
    (!names.is_empty()).then(|| names.into())
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
    use super::super::networks::NetworkOptions;
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
        let client = conn.client_ip(request.headers());
        guards.check_network(client).is_err()
    }

    #[test]
    fn a_client_behind_a_trusted_proxy_is_judged_by_its_own_address() {
        assert!(is_denied("192.0.2.7", true));
        assert!(!is_denied("198.51.100.7", true));
        assert!(!is_denied("192.0.2.7", false));
    }
}
