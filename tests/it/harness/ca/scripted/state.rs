//! The state of a scripted CA: nonces, accounts, orders, authorizations.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::jws::{Jwk, malformed};
use super::reply::Reply;
use super::script::{Script, Wait};

/// Error of the CA's clock in the dates that it sends.
const SKEW: Duration = Duration::from_secs(24 * 3600);

/// Type and value of an identifier.
pub(super) type Identifier = (String, String);

/// State of the CA.
#[derive(Default)]
pub(super) struct CaState {
    base: String,
    nonces: HashSet<String>,
    accounts: Vec<Jwk>,
    orders: Vec<Order>,
    authorizations: Vec<Authorization>,
    replaced: Vec<Option<String>>,
    proved: HashMap<(usize, Identifier), usize>,
}

struct Order {
    identifiers: Vec<Identifier>,
    authorizations: Vec<usize>,
    chain: Option<Vec<u8>>,
    polls_left: usize,
}

struct Authorization {
    account: usize,
    identifier: Identifier,
    token: String,
    status: &'static str,
    is_being_validated: bool,
    problem: Option<Value>,
}

/// A challenge that the CA has to validate.
pub(super) struct Validation {
    pub(super) authorization: usize,
    pub(super) host: String,
    pub(super) token: String,
    pub(super) expected: String,
}

impl CaState {
    pub(super) fn new(base: String) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    pub(super) fn directory(&self, script: &Script) -> Value {
        json!({
            "newNonce": format!("{}/nonce", self.base),
            "newAccount": format!("{}/account", self.base),
            "newOrder": format!("{}/order", self.base),
            "meta": {
                "termsOfService": "https://example.org/terms",
                "caaIdentities": script.caa_identities,
                "profiles": script.profiles.iter().map(|name| (name.clone(), json!("described"))).collect::<serde_json::Map<_, _>>(),
            },
            "aServiceOfTheFuture": "https://example.org/future",
        })
    }

    /// For each order, the certificate that it named as replaced.
    pub(super) fn replaced(&self) -> Vec<Option<String>> {
        self.replaced.clone()
    }

    pub(super) fn new_nonce(&mut self) -> String {
        let nonce: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(24)
            .collect();
        self.nonces.insert(nonce.clone());
        nonce
    }

    pub(super) fn use_nonce(&mut self, nonce: &str) -> Result<(), Reply> {
        match self.nonces.remove(nonce) {
            true => Ok(()),
            false => Err(Reply::problem(400, "badNonce", "unknown or used")),
        }
    }

    pub(super) fn account(&self, kid: &str) -> Result<(usize, Jwk), Reply> {
        let prefix = format!("{}/account/", self.base);
        kid.strip_prefix(&prefix)
            .and_then(|number| number.parse().ok())
            .and_then(|number: usize| Some((number, self.accounts.get(number)?.clone())))
            .ok_or_else(|| Reply::problem(400, "accountDoesNotExist", "no such account"))
    }

    pub(super) fn new_account(&mut self, key: Jwk, request: &Value) -> Result<Reply, Reply> {
        let known = self.accounts.iter().position(|known| *known == key);
        let (number, status) = match known {
            Some(number) => (number, 200),
            None if request["onlyReturnExisting"] == true => {
                return Err(Reply::problem(400, "accountDoesNotExist", "no such key"));
            }
            None if request["termsOfServiceAgreed"] != true => {
                return Err(Reply::problem(
                    403,
                    "userActionRequired",
                    "agree to the terms",
                ));
            }
            None => {
                self.accounts.push(key);
                (self.accounts.len() - 1, 201)
            }
        };
        let url = format!("{}/account/{number}", self.base);
        let account = json!({ "status": "valid", "orders": format!("{url}/orders") });
        Ok(Reply::json(status, &account).header("location", &url))
    }

    pub(super) fn new_order(
        &mut self,
        account: usize,
        request: &Value,
        script: &Script,
    ) -> Result<Reply, Reply> {
        let list = request["identifiers"]
            .as_array()
            .ok_or_else(|| malformed("no identifiers"))?;
        let identifiers: Vec<Identifier> = list.iter().map(identifier).collect();
        let has_wildcard = identifiers.iter().any(|(_, name)| name.starts_with('*'));
        if identifiers.is_empty() || (has_wildcard && script.dns.is_none()) {
            return Err(Reply::problem(
                400,
                "rejectedIdentifier",
                "only http-01 is offered",
            ));
        }
        let authorizations = identifiers
            .iter()
            .map(|identifier| self.authorization_for(account, identifier, script))
            .collect();
        let replaced = request["replaces"].as_str().map(str::to_owned);
        self.replaced.push(replaced);
        self.orders.push(Order {
            identifiers,
            authorizations,
            chain: None,
            polls_left: script.polls,
        });
        let number = self.orders.len() - 1;
        let url = format!("{}/order/{number}", self.base);
        Ok(self.order(number, script)?.created(&url))
    }

    fn authorization_for(
        &mut self,
        account: usize,
        identifier: &Identifier,
        script: &Script,
    ) -> usize {
        if let Some(&proved) = self.proved.get(&(account, identifier.clone()))
            && script.reuses_authorizations
        {
            return proved;
        }
        let token = std::iter::repeat_with(fastrand::alphanumeric)
            .take(32)
            .collect();
        self.authorizations.push(Authorization {
            account,
            identifier: identifier.clone(),
            token,
            status: "pending",
            is_being_validated: false,
            problem: None,
        });
        self.authorizations.len() - 1
    }

    /// Tokens of all challenges.
    pub(super) fn tokens(&self) -> Vec<String> {
        let tokens = self.authorizations.iter().map(|it| it.token.clone());
        tokens.collect()
    }

    /// Number of orders that have their certificate.
    pub(super) fn certificates(&self) -> usize {
        self.orders.iter().filter(|it| it.chain.is_some()).count()
    }

    pub(super) fn pending_authorizations(&self) -> usize {
        let authorizations = self.authorizations.iter();
        authorizations.filter(|it| it.status == "pending").count()
    }

    pub(super) fn order(&self, number: usize, script: &Script) -> Result<Reply, Reply> {
        let order = self.orders.get(number).ok_or_else(nothing)?;
        let status = self.order_status(order);
        let mut body = json!({
            "status": status,
            "identifiers": order.identifiers.iter().map(wire).collect::<Vec<_>>(),
            "authorizations": order.authorizations.iter()
                .map(|authorization| format!("{}/authz/{authorization}", self.base))
                .collect::<Vec<_>>(),
            "finalize": format!("{}/finalize/{number}", self.base),
        });
        if status == "valid" {
            body["certificate"] = format!("{}/certificate/{number}", self.base).into();
        }
        let reply = Reply::json(200, &body);
        Ok(match status {
            "processing" => reply.waiting(script.wait),
            _ => reply,
        })
    }

    fn order_status(&self, order: &Order) -> &'static str {
        let all = |status| {
            let mut numbers = order.authorizations.iter();
            numbers.all(|&number| self.authorizations[number].status == status)
        };
        let any = |status| {
            let mut numbers = order.authorizations.iter();
            numbers.any(|&number| self.authorizations[number].status == status)
        };
        match (&order.chain, order.polls_left) {
            (Some(_), 0) => "valid",
            (Some(_), _) => "processing",
            (None, _) if all("valid") => "ready",
            (None, _) if any("invalid") || any("deactivated") => "invalid",
            (None, _) => "pending",
        }
    }

    /// Answers a poll and advances the order.
    pub(super) fn poll_order(&mut self, number: usize, script: &Script) -> Result<Reply, Reply> {
        if let Some(order) = self.orders.get_mut(number)
            && order.chain.is_some()
        {
            order.polls_left = order.polls_left.saturating_sub(1);
        }
        self.order(number, script)
    }

    pub(super) fn authorization(&self, number: usize, script: &Script) -> Result<Reply, Reply> {
        let authorization = self.authorizations.get(number).ok_or_else(nothing)?;
        let (kind, name) = &authorization.identifier;
        let base = name.strip_prefix("*.");
        let mut body = json!({
            "status": authorization.status,
            "identifier": { "type": kind, "value": base.unwrap_or(name) },
            "challenges": [
                { "type": "dns-persist-01", "url": format!("{}/none/{number}", self.base), "status": "pending" },
                self.challenge(number, script)?,
            ],
        });
        if base.is_some() {
            body["wildcard"] = true.into();
        }
        for kind in &script.offered {
            let mut challenge = self.challenge(number, script)?;
            challenge["type"] = kind.as_str().into();
            body["challenges"].as_array_mut().unwrap().push(challenge);
        }
        let reply = Reply::json(200, &body);
        Ok(match authorization.status {
            "pending" => reply.waiting(script.wait),
            _ => reply,
        })
    }

    pub(super) fn challenge(&self, number: usize, script: &Script) -> Result<Value, Reply> {
        let authorization = self.authorizations.get(number).ok_or_else(nothing)?;
        let mut body = json!({
            "type": match script.dns {
                Some(_) => "dns-01",
                None => "http-01",
            },
            "url": format!("{}/challenge/{number}", self.base),
            "status": match authorization.is_being_validated {
                true => "processing",
                false => authorization.status,
            },
            "token": authorization.token,
        });
        if let Some(problem) = &authorization.problem {
            body["error"] = problem.clone();
        }
        Ok(body)
    }

    pub(super) fn deactivate(&mut self, number: usize) -> Result<(), Reply> {
        let authorization = self.authorizations.get_mut(number).ok_or_else(nothing)?;
        authorization.status = "deactivated";
        Ok(())
    }

    /// A second request for validation is refused, as CAs do that count it as abuse.
    pub(super) fn start_validation(&mut self, number: usize) -> Result<Validation, Reply> {
        let authorization = self.authorizations.get_mut(number).ok_or_else(nothing)?;
        if authorization.status != "pending" || authorization.is_being_validated {
            return Err(malformed("the challenge is not pending"));
        }
        authorization.is_being_validated = true;
        let key = &self.accounts[authorization.account];
        Ok(Validation {
            authorization: number,
            host: authorization
                .identifier
                .1
                .trim_start_matches("*.")
                .to_owned(),
            token: authorization.token.clone(),
            expected: format!("{}.{}", authorization.token, key.thumbprint()),
        })
    }

    pub(super) fn end_validation(&mut self, number: usize, outcome: Result<(), Value>) {
        let authorization = &mut self.authorizations[number];
        authorization.is_being_validated = false;
        match outcome {
            Ok(()) => {
                authorization.status = "valid";
                let proved = (authorization.account, authorization.identifier.clone());
                self.proved.insert(proved, number);
            }
            Err(problem) => {
                authorization.status = "invalid";
                authorization.problem = Some(problem);
            }
        }
    }

    /// Names of an order that is ready to be signed.
    pub(super) fn wanted(&self, number: usize) -> Result<BTreeSet<Identifier>, Reply> {
        let order = self.orders.get(number).ok_or_else(nothing)?;
        match self.order_status(order) {
            "ready" => Ok(order.identifiers.iter().cloned().collect()),
            status => Err(Reply::problem(403, "orderNotReady", status)),
        }
    }

    pub(super) fn set_chain(&mut self, number: usize, chain: Vec<u8>) {
        self.orders[number].chain = Some(chain);
    }

    pub(super) fn chain(&self, number: usize) -> Result<Reply, Reply> {
        let chain = self
            .orders
            .get(number)
            .and_then(|order| order.chain.clone());
        let reply = Reply::new(200, chain.ok_or_else(nothing)?);
        Ok(reply.header("content-type", "application/pem-certificate-chain"))
    }
}

impl Reply {
    fn created(self, url: &str) -> Self {
        self.with_status(201).header("location", url)
    }

    fn waiting(self, wait: Option<Wait>) -> Self {
        match wait {
            None => self,
            Some(Wait::Seconds(seconds)) => self.header("retry-after", &seconds.to_string()),
            Some(Wait::Date(seconds)) => {
                let now = SystemTime::now() - SKEW;
                let then = now + Duration::from_secs(seconds);
                self.header("date", &httpdate::fmt_http_date(now))
                    .header("retry-after", &httpdate::fmt_http_date(then))
            }
        }
    }
}

fn identifier(wire: &Value) -> Identifier {
    let text = |key: &str| wire[key].as_str().unwrap_or_default().to_owned();
    (text("type"), text("value"))
}

fn wire((kind, value): &Identifier) -> Value {
    json!({ "type": kind, "value": value })
}

fn nothing() -> Reply {
    Reply::new(404, "")
}
