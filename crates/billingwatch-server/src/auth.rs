//! Who may ask for data: bearer tokens, from the configuration and from the store.
//!
//! Configured tokens are compared in constant time, as SHA-256 digests, so that neither length nor
//! content shows in the time taken. Tokens in the store are looked up by that digest: the index is
//! over hashes that a guesser cannot steer. Health, documentation and webhook routes pass by here.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError, web};
use billingwatch_store::TokenRole;
use sha2::{Digest, Sha256};
use std::future::{Ready, ready};
use subtle::ConstantTimeEq;

use crate::config::Access;
use crate::error::ApiError;
use crate::state::AppState;

/// The longest token that is looked at; ours have 43 characters.
const TOKEN_BYTES_MAX: usize = 512;

/// Who asks: the name that a note is signed with.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    role: TokenRole,
}

/// Digests of the configured tokens, or the word that none is needed.
#[derive(Debug)]
pub(crate) enum Gate {
    Tokens(Vec<[u8; 32]>),
    Open,
}

impl Gate {
    pub(crate) fn new(access: &Access) -> Self {
        match access {
            Access::Tokens(tokens) => Self::Tokens(tokens.iter().map(|t| digest(t)).collect()),
            Access::Open => Self::Open,
        }
    }

    /// Whether a configured token has this digest; looks at all of them whatever it finds.
    fn knows(&self, presented: &[u8; 32]) -> bool {
        let Self::Tokens(digests) = self else {
            return true;
        };
        let mut found = subtle::Choice::from(0);
        for digest in digests {
            found |= digest.ct_eq(presented);
        }
        found.into()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Lets a request through when its caller has at least this role, and notes who that is.
pub(crate) async fn require_role(
    role: TokenRole,
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admit(role, &req).await {
        Ok(caller) => {
            req.extensions_mut().insert(caller);
            Ok(next.call(req).await?.map_into_boxed_body())
        }
        Err(refusal) => Ok(req.into_response(refusal.error_response())),
    }
}

async fn admit(role: TokenRole, req: &ServiceRequest) -> Result<Caller, ApiError> {
    let state = req
        .app_data::<web::Data<AppState>>()
        .ok_or_else(ApiError::internal)?;
    let caller = match &state.gate {
        Gate::Open => {
            require_local_host(req.headers())?;
            Caller {
                name: "local".to_owned(),
                role: TokenRole::Admin,
            }
        }
        gate => identify(gate, state, req).await?,
    };
    if caller.role < role {
        return Err(ApiError::forbidden(match role {
            TokenRole::Admin => "this needs a token with the role admin",
            _ => "this token may read only",
        }));
    }
    Ok(caller)
}

async fn identify(
    gate: &Gate,
    state: &web::Data<AppState>,
    req: &ServiceRequest,
) -> Result<Caller, ApiError> {
    // Without a token nothing was guessed.
    let token = bearer(req.headers()).ok_or_else(ApiError::unauthorized)?;
    let digest = digest(token);
    let (address, now) = (req.peer_addr().map(|peer| peer.ip()), state.clock.now());
    if state.guesses.is_too_many(address, now) && !state.guesses.was_accepted(&digest) {
        return Err(ApiError::too_many_failures());
    }
    if gate.knows(&digest) {
        state.guesses.accept(digest);
        return Ok(Caller {
            name: "api".to_owned(),
            role: TokenRole::Admin,
        });
    }
    let found = state
        .query(move |store| store.find_token_by_hash(&hex::encode(digest)))
        .await?;
    let Some(token) = found else {
        if state.guesses.note(address, now) {
            tracing::warn!("a token that is none was sent");
        }
        return Err(ApiError::unauthorized());
    };
    state.guesses.accept(digest);
    Ok(Caller {
        role: token.role,
        name: token.name,
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_ascii();
    let is_sound = scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= TOKEN_BYTES_MAX;
    is_sound.then_some(token)
}

/// Without tokens the loopback address is the only wall, and a web page whose name resolves to it
/// (DNS rebinding) stands inside: such a request names a host that is not this machine.
fn require_local_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(host) = headers.get(header::HOST) else {
        return Ok(());
    };
    let host = host.to_str().unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_local = name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|addr| addr.is_loopback());
    if is_local {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "without API tokens only requests to localhost are answered",
    ))
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(req: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        ready(
            req.extensions()
                .get::<Self>()
                .cloned()
                .ok_or_else(ApiError::unauthorized),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_a_sound_bearer_header_holds_a_token() {
        let token = |value| bearer(&headers(&[(header::AUTHORIZATION, value)])).map(str::to_owned);
        assert_eq!(token("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(token("bearer  abc "), Some("abc".to_owned()));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer"), None);
        assert_eq!(token("Bearer "), None);
        let twice = headers(&[
            (header::AUTHORIZATION, "Bearer a"),
            (header::AUTHORIZATION, "Bearer b"),
        ]);
        assert_eq!(bearer(&twice), None);
    }

    #[test]
    fn a_gate_knows_its_tokens_alone() {
        let gate = Gate::new(&Access::Tokens(vec!["one".into(), "two".into()]));
        assert!(gate.knows(&digest("one")));
        assert!(gate.knows(&digest("two")));
        assert!(!gate.knows(&digest("three")));
        assert!(!Gate::new(&Access::Tokens(Vec::new())).knows(&digest("")));
    }

    #[test]
    fn without_tokens_the_host_must_be_this_machine() {
        let admits = |host| require_local_host(&headers(&[(header::HOST, host)])).is_ok();
        for host in [
            "localhost:8000",
            "127.0.0.1:8000",
            "127.0.0.1",
            "[::1]:8000",
            "LOCALHOST",
        ] {
            assert!(admits(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8000",
            "10.0.0.1",
            "[fe80::1]:80",
            "",
        ] {
            assert!(!admits(host), "{host}");
        }
    }
}
