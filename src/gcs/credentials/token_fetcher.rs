//! Gets one access token from Google, by whatever kind of credentials there are.
//!
//! yup-oauth2 signs and sends for service-account keys, for a user's login and for identity
//! federation. Two requests are made here, because yup-oauth2 makes them in a way of its own:
//! the metadata server's (there, the environment would be read, and a response's status ignored)
//! and the step to an impersonated service account (there, only a user may take it, `delegates`
//! are dropped, and the reason of a refusal with them).
//!
//! Known limit: yup-oauth2 takes whatever a subject token's URL answers for the subject token, an
//! error page as well. It is the token endpoint, then, that refuses it, and the error says so.
//!
//! Never logs: a response holds a token. yup-oauth2 logs requests and answers whole, at debug
//! level; the logger must not let that through.

use std::path::Path;
use std::time::{Duration, SystemTime};

use http_body_util::BodyExt as _;
use serde::Deserialize;
use yup_oauth2::authenticator::{
    Authenticator, AuthorizedUserAuthenticator, ExternalAccountAuthenticator,
    ServiceAccountAuthenticator,
};
use yup_oauth2::error::SendError;
use yup_oauth2::hyper::http::request::Builder;
use yup_oauth2::hyper::{Request, StatusCode};
use yup_oauth2::{CustomHyperClientBuilder, Error};

use super::connect::{self, RecordingConnector, TokenClient};
use super::discover::{CredentialSource, Source};
use super::file::{self, Base, Credential, Impersonation};
use super::last_response::{LastResponse, describe, presentable};
use super::{AccessToken, CredentialsError};

/// The scope of a token for Cloud Storage: reading and writing objects.
const STORAGE_SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
/// The scope of a token that is given for another service account's.
const CLOUD_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Lifetime that is requested for an impersonated token: the maximum that Google permits by
/// default.
const IMPERSONATED_LIFETIME: &str = "3600s";

/// A token, and when it expires (`None`: never).
pub(super) struct FetchedToken {
    pub(super) token: AccessToken,
    pub(super) expires_at: Option<SystemTime>,
}

/// Error of an attempt to get a token, with the chance of a retry.
#[derive(Clone, Debug)]
pub(super) struct FetchFailure {
    pub(super) error: CredentialsError,
    pub(super) kind: FailureKind,
}

/// Prospect of a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// An outage, or something that passes.
    Transient,
    /// The credentials were refused or are broken: somebody has to do something.
    Permanent,
}

/// Gives tokens, one for each time it is asked.
pub(super) trait TokenFetcher {
    /// Asks for a new token. Takes as long as it takes: the caller bounds it.
    async fn fetch(&mut self) -> Result<FetchedToken, FetchFailure>;

    /// The failure of an attempt that came to no end of its own; `what` says why.
    fn aborted(&self, what: &str) -> FetchFailure;
}

/// Gets tokens with credentials that were found.
pub(super) struct GoogleTokenFetcher {
    source: Source,
    client: TokenClient,
    last_response: LastResponse,
}

impl GoogleTokenFetcher {
    pub(super) fn new(found: &CredentialSource) -> Result<Self, CredentialsError> {
        let last_response = LastResponse::default();
        let client =
            connect::client(found.proxy.clone(), last_response.clone()).map_err(|error| {
                CredentialsError {
                    source_name: found.source.to_string(),
                    reason: format!("TLS cannot be set up: {error}"),
                }
            })?;
        Ok(Self { source: found.source.clone(), client, last_response })
    }

    async fn fetch_with_file(&self, path: &Path) -> Result<FetchedToken, FetchFailure> {
        let credential = file::read(path).map_err(permanent)?;
        if let Some(path) = credential.subject_token_file() {
            file::check_subject_token(path).map_err(permanent)?;
        }
        let mut secrets = credential.secrets();
        let scope = match credential.impersonation {
            Some(_) => CLOUD_SCOPE,
            None => STORAGE_SCOPE,
        };
        let fetched = self.fetch_base_token(&credential, scope, &secrets).await?;
        match &credential.impersonation {
            Some(impersonation) => {
                let FetchedToken { token, .. } = fetched;
                secrets.push(token.0.clone());
                self.impersonate(impersonation, &token, &secrets).await
            }
            None => Ok(fetched),
        }
    }

    async fn fetch_base_token(
        &self,
        credential: &Credential,
        scope: &str,
        secrets: &[String],
    ) -> Result<FetchedToken, FetchFailure> {
        let authenticator = self.authenticator(credential).await.map_err(|error| {
            self.failure(FailureKind::Permanent, &presentable(&error.to_string(), secrets))
        })?;
        let token = authenticator
            .force_refreshed_token(&[scope])
            .await
            .map_err(|error| self.explain(&error, secrets))?;
        match token.token() {
            Some(secret) if is_valid_header_token(secret) => Ok(FetchedToken {
                token: AccessToken::new(secret.to_owned()),
                expires_at: token.expiration_time().map(SystemTime::from),
            }),
            _ => Err(self.refusal(secrets)),
        }
    }

    async fn authenticator(
        &self,
        credential: &Credential,
    ) -> std::io::Result<Authenticator<RecordingConnector>> {
        let client = CustomHyperClientBuilder::from(self.client.clone());
        match &credential.base {
            Base::ServiceAccount(key) => {
                ServiceAccountAuthenticator::with_client((**key).clone(), client).build().await
            }
            Base::AuthorizedUser(user) => {
                AuthorizedUserAuthenticator::with_client(user.clone(), client).build().await
            }
            Base::ExternalAccount(external) => {
                ExternalAccountAuthenticator::with_client((**external).clone(), client)
                    .build()
                    .await
            }
        }
    }

    /// See <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>.
    async fn impersonate(
        &self,
        impersonation: &Impersonation,
        token: &AccessToken,
        secrets: &[String],
    ) -> Result<FetchedToken, FetchFailure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Generated {
            access_token: String,
            expire_time: String,
        }
        let request = Request::post(impersonation.url.clone())
            .header("Content-Type", "application/json")
            .header("Authorization", token.authorization());
        let wanted = serde_json::json!({
            "scope": [STORAGE_SCOPE],
            "lifetime": IMPERSONATED_LIFETIME,
            "delegates": impersonation.delegates,
        });
        let body = self.exchange(request, wanted.to_string(), secrets).await?;
        let generated = serde_json::from_slice::<Generated>(&body).ok();
        let generated =
            generated.filter(|generated| is_valid_header_token(&generated.access_token));
        let fetched = generated.and_then(|Generated { access_token, expire_time }| {
            let expires_at = humantime::parse_rfc3339(&expire_time).ok()?;
            Some(FetchedToken {
                token: AccessToken::new(access_token),
                expires_at: Some(expires_at),
            })
        });
        fetched.ok_or_else(|| self.unusable_response(&body, secrets))
    }

    /// See <https://cloud.google.com/compute/docs/access/authenticate-workloads#applications>.
    async fn fetch_from_metadata_server(&self, host: &str) -> Result<FetchedToken, FetchFailure> {
        #[derive(Deserialize)]
        struct Given {
            access_token: String,
            expires_in: u32,
            token_type: String,
        }
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        let request = Request::get(format!("http://{host}{path}?scopes={STORAGE_SCOPE}"))
            .header("Metadata-Flavor", "Google");
        let body = self.exchange(request, String::new(), &[]).await.map_err(transient)?;
        let given = serde_json::from_slice::<Given>(&body).ok();
        let given = given.filter(|given| {
            given.token_type.eq_ignore_ascii_case("bearer")
                && is_valid_header_token(&given.access_token)
        });
        let given = given.ok_or_else(|| transient(self.unusable_response(&body, &[])))?;
        let lifetime = Duration::from_secs(given.expires_in.into());
        Ok(FetchedToken {
            token: AccessToken::new(given.access_token),
            expires_at: Some(SystemTime::now() + lifetime),
        })
    }

    /// Sends a request and reads the response, which must be a 200.
    async fn exchange(
        &self,
        request: Builder,
        body: String,
        secrets: &[String],
    ) -> Result<Vec<u8>, FetchFailure> {
        let request = request.body(body).map_err(|error| {
            self.failure(FailureKind::Permanent, &format!("the request cannot be made: {error}"))
        })?;
        let response = self.client.request(request).await;
        let response =
            response.map_err(|error| self.explain(&SendError::Hyper(error).into(), secrets))?;
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| self.explain(&error.into(), secrets))?.to_bytes();
        match status {
            StatusCode::OK => Ok(body.to_vec()),
            _ => Err(self.refusal(secrets)),
        }
    }

    /// The failure that an error of yup-oauth2 stands for.
    fn explain(&self, error: &Error, secrets: &[String]) -> FetchFailure {
        match error {
            Error::HttpClientError(SendError::Hyper(error)) => self.unreachable(error, secrets),
            Error::HttpClientError(error) => self.unreachable(error, secrets),
            Error::HttpError(error) => self.unreachable(error, secrets),
            Error::LowLevelError(_) | Error::UserError(_) | Error::StorageError(_) => {
                self.failure(FailureKind::Permanent, &presentable(&connect::chain(error), secrets))
            }
            // What these carry is less than what the endpoint said, or quotes its response.
            Error::AuthError(_)
            | Error::JSONError(_)
            | Error::MissingAccessToken
            | Error::CredentialSourceError(_) => self.refusal(secrets),
        }
    }

    /// The failure of an exchange that broke on the way.
    fn unreachable(&self, error: &dyn std::error::Error, secrets: &[String]) -> FetchFailure {
        // What hyper itself says ("client error (Connect)") tells a person nothing.
        let what = error.source().map_or_else(|| error.to_string(), connect::chain);
        let advice = match what.contains("certificate") {
            true => "; a company's own CA is trusted by the system's store or SSL_CERT_FILE",
            false => self.advice(),
        };
        let what = presentable(&what, secrets);
        self.failure(FailureKind::Transient, &format!("{}: {what}{advice}", self.endpoint()))
    }

    /// The failure that the last response stands for.
    fn refusal(&self, secrets: &[String]) -> FetchFailure {
        let status = self.last_response.status();
        let said = self.last_response.said(secrets);
        self.answered(status, &said)
    }

    /// The failure of a response with status 200 that makes no sense.
    fn unusable_response(&self, body: &[u8], secrets: &[String]) -> FetchFailure {
        self.answered(Some(StatusCode::OK), &describe(body, secrets))
    }

    fn answered(&self, status: Option<StatusCode>, said: &str) -> FetchFailure {
        let status_text = status.map(|status| format!(" {status}")).unwrap_or_default();
        let kind = match status.map(|status| status.as_u16()) {
            Some(400..=407 | 409..=428) => FailureKind::Permanent,
            _ => FailureKind::Transient,
        };
        let advice = match (&self.source, kind) {
            (Source::MetadataServer(_), _) => NOT_ON_GOOGLE_CLOUD,
            (Source::File(_), FailureKind::Permanent) => {
                "; have the credentials been revoked or expired, or is this machine's clock wrong?"
            }
            (Source::File(_), FailureKind::Transient) => "; this is tried again",
        };
        let endpoint = self.endpoint();
        self.failure(kind, &format!("{endpoint} answered{status_text}: {said}{advice}"))
    }

    /// Returns the advice for a source that does not respond.
    fn advice(&self) -> &'static str {
        match self.source {
            Source::MetadataServer(_) => NOT_ON_GOOGLE_CLOUD,
            Source::File(_) => "; are the network, DNS and proxy settings right?",
        }
    }

    fn endpoint(&self) -> String {
        let endpoint = self.last_response.endpoint();
        if endpoint.is_empty() { "the token endpoint".to_owned() } else { endpoint }
    }

    fn failure(&self, kind: FailureKind, reason: &str) -> FetchFailure {
        let error =
            CredentialsError { source_name: self.source.to_string(), reason: reason.to_owned() };
        FetchFailure { error, kind }
    }
}

/// Advice for a metadata server that does not exist.
const NOT_ON_GOOGLE_CLOUD: &str = "; if this machine is not on Google Cloud, set \
    GOOGLE_APPLICATION_CREDENTIALS to a credentials file, or STORAGE_EMULATOR_HOST to an emulator";

/// Whether a text can be the token in an `Authorization` header (RFC 6750, section 2.1).
fn is_valid_header_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}

fn permanent(error: CredentialsError) -> FetchFailure {
    FetchFailure { error, kind: FailureKind::Permanent }
}

/// While a machine or a pod starts, its metadata server refuses for a few seconds.
fn transient(failure: FetchFailure) -> FetchFailure {
    FetchFailure { kind: FailureKind::Transient, ..failure }
}

impl TokenFetcher for GoogleTokenFetcher {
    async fn fetch(&mut self) -> Result<FetchedToken, FetchFailure> {
        self.last_response.forget();
        let fetched = match &self.source {
            Source::File(path) => self.fetch_with_file(path).await,
            Source::MetadataServer(host) => self.fetch_from_metadata_server(host).await,
        };
        self.last_response.forget();
        fetched
    }

    fn aborted(&self, what: &str) -> FetchFailure {
        let advice = self.advice();
        self.failure(FailureKind::Transient, &format!("{}: {what}{advice}", self.endpoint()))
    }
}
