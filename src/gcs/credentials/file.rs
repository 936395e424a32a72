//! Reads a credentials file and says what is in it, or what is wrong with it.
//!
//! Never puts anything of the file's content into an error, but the address of the identity.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustls::crypto::ring::sign::RsaSigningKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value};
use yup_oauth2::ServiceAccountKey;
use yup_oauth2::authorized_user::AuthorizedUserSecret;
use yup_oauth2::external_account::{
    CredentialSource, ExternalAccountSecret, UrlCredentialSourceFormat,
};
use yup_oauth2::hyper::http::{HeaderName, HeaderValue, Uri};

use super::CredentialsError;

/// The largest file that is read, in bytes. Real ones have about two thousand.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// The token endpoint of a key that names none.
const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// End of the URL that creates an access token for a service account.
const GENERATE_ACCESS_TOKEN: &str = ":generateAccessToken";

/// Content of a credentials file.
pub(super) struct Credential {
    /// Base of the first token.
    pub(super) base: Base,
    /// The service account to which that token gives way.
    pub(super) impersonation: Option<Impersonation>,
}

/// The kinds of credentials that make a token by themselves.
pub(super) enum Base {
    ServiceAccount(Box<ServiceAccountKey>),
    AuthorizedUser(AuthorizedUserSecret),
    ExternalAccount(Box<ExternalAccountSecret>),
}

/// A service account to act as.
/// See <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>.
#[derive(Clone)]
pub(super) struct Impersonation {
    pub(super) url: Uri,
    pub(super) delegates: Vec<String>,
}

impl Credential {
    /// Describes the credential for a person.
    pub(super) fn describe(&self, path: &Path) -> String {
        let path = path.display();
        let base = match &self.base {
            Base::ServiceAccount(key) => {
                format!("service-account key {path} for {}", key.client_email.escape_debug())
            }
            Base::AuthorizedUser(_) => format!("user credentials {path}"),
            Base::ExternalAccount(external) => {
                format!("identity federation {path} for {}", external.audience.escape_debug())
            }
        };
        match &self.impersonation {
            Some(impersonation) => format!("{base}, acting as {}", impersonation.account()),
            None => base,
        }
    }

    /// Returns the parts that are sent over the network and must not appear in an error.
    pub(super) fn secrets(&self) -> Vec<String> {
        match &self.base {
            Base::ServiceAccount(key) => vec![key.private_key.clone()],
            Base::AuthorizedUser(user) => {
                vec![user.client_secret.clone(), user.refresh_token.clone()]
            }
            Base::ExternalAccount(external) => match &external.credential_source {
                CredentialSource::Url { headers, .. } => {
                    headers.iter().flatten().map(|(_, value)| value.clone()).collect()
                }
                CredentialSource::File { .. } => Vec::new(),
            },
        }
    }

    /// The file with the subject token, which an identity provider writes anew now and then.
    pub(super) fn subject_token_file(&self) -> Option<&Path> {
        match &self.base {
            Base::ExternalAccount(external) => match &external.credential_source {
                CredentialSource::File { file } => Some(Path::new(file)),
                CredentialSource::Url { .. } => None,
            },
            Base::ServiceAccount(_) | Base::AuthorizedUser(_) => None,
        }
    }
}

impl Impersonation {
    fn account(&self) -> &str {
        let path = self.url.path().trim_end_matches(GENERATE_ACCESS_TOKEN);
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// Reads the credentials file at `path`.
pub(super) fn read(path: &Path) -> Result<Credential, CredentialsError> {
    let text = contents(path).map_err(|error| fault(path, &unreadable(&error)))?;
    parse(&text).map_err(|reason| fault(path, &reason))
}

/// Checks that the subject token can be read at all: it is another program that writes it.
pub(super) fn check_subject_token(path: &Path) -> Result<(), CredentialsError> {
    let told = |reason: String| CredentialsError {
        source_name: path.display().to_string(),
        reason: format!(
            "the subject token, which `credential_source` names, cannot be read: {reason}; see to \
             what writes it"
        ),
    };
    match contents(path) {
        Ok(token) if token.trim_ascii().is_empty() => Err(told("the file is empty".to_owned())),
        Ok(_) => Ok(()),
        Err(error) => Err(told(error.to_string())),
    }
}

fn fault(path: &Path, reason: &str) -> CredentialsError {
    CredentialsError { source_name: path.display().to_string(), reason: reason.to_owned() }
}

fn unreadable(error: &io::Error) -> String {
    format!(
        "the file cannot be read: {error}; correct GOOGLE_APPLICATION_CREDENTIALS, or let this \
         user read the file"
    )
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a pipe would wait for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// An error's text. It may name a field, never what is in it; so serde's own text is not for use.
type Reason = String;

fn parse(text: &[u8]) -> Result<Credential, Reason> {
    let value: Value = serde_json::from_slice(text).map_err(|error| {
        format!(
            "it is not JSON (line {}, column {}); use the file as Google Cloud made it",
            error.line(),
            error.column()
        )
    })?;
    let Value::Object(fields) = value else {
        return Err("it is not a JSON object; use the file as Google Cloud made it".to_owned());
    };
    credential(&Fields { fields: &fields, within: "" })
}

fn credential(fields: &Fields<'_>) -> Result<Credential, Reason> {
    match fields.kind()? {
        Kind::ServiceAccount => Ok(Credential {
            base: Base::ServiceAccount(Box::new(service_account(fields)?)),
            impersonation: None,
        }),
        Kind::AuthorizedUser => {
            Ok(Credential { base: Base::AuthorizedUser(user(fields)?), impersonation: None })
        }
        Kind::ExternalAccount => Ok(Credential {
            base: Base::ExternalAccount(Box::new(external_account(fields)?)),
            impersonation: fields
                .has("service_account_impersonation_url")
                .then(|| impersonation(fields))
                .transpose()?,
        }),
        Kind::ImpersonatedServiceAccount => impersonated(fields),
    }
}

fn service_account(fields: &Fields<'_>) -> Result<ServiceAccountKey, Reason> {
    let private_key = fields.text("private_key")?;
    check_private_key(&private_key)?;
    let token_uri = match fields.has("token_uri") {
        true => fields.endpoint("token_uri")?,
        false => GOOGLE_TOKEN_URI.to_owned(),
    };
    Ok(ServiceAccountKey {
        key_type: None,
        project_id: None,
        private_key_id: None,
        private_key,
        client_email: fields.text("client_email")?,
        client_id: None,
        auth_uri: None,
        token_uri,
        auth_provider_x509_cert_url: None,
        client_x509_cert_url: None,
    })
}

fn check_private_key(pem: &str) -> Result<(), Reason> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .ok()
        .and_then(|key| RsaSigningKey::new(&key).ok())
        .map(|_| ())
        .ok_or_else(|| {
            "the field `private_key` is not a valid RSA key in PEM form; use the file as Google Cloud made \
             it, with the line ends (\\n) in that field"
                .to_owned()
        })
}

fn user(fields: &Fields<'_>) -> Result<AuthorizedUserSecret, Reason> {
    Ok(AuthorizedUserSecret {
        client_id: fields.text("client_id")?,
        client_secret: fields.text("client_secret")?,
        refresh_token: fields.text("refresh_token")?,
        key_type: "authorized_user".to_owned(),
    })
}

fn external_account(fields: &Fields<'_>) -> Result<ExternalAccountSecret, Reason> {
    Ok(ExternalAccountSecret {
        audience: fields.text("audience")?,
        subject_token_type: fields.text("subject_token_type")?,
        // The step to the service account is taken in one place for all kinds of credentials.
        service_account_impersonation_url: None,
        token_url: fields.endpoint("token_url")?,
        credential_source: credential_source(&fields.object("credential_source")?)?,
        key_type: "external_account".to_owned(),
    })
}

fn credential_source(fields: &Fields<'_>) -> Result<CredentialSource, Reason> {
    if fields.has("file") {
        return match format(fields)? {
            UrlCredentialSourceFormat::Text => {
                Ok(CredentialSource::File { file: fields.text("file")? })
            }
            UrlCredentialSourceFormat::Json { .. } => {
                Err("a subject token that lies in a JSON file is not supported; let the identity \
                 provider write the bare token, with `format` of type text"
                    .to_owned())
            }
        };
    }
    if fields.has("url") {
        return Ok(CredentialSource::Url {
            url: fields.address("url")?,
            headers: headers(fields)?,
            format: format(fields)?,
        });
    }
    Err("`credential_source` has neither `file` nor `url`: these two are supported, the kinds \
         for AWS, executables and certificates are not"
        .to_owned())
}

fn format(fields: &Fields<'_>) -> Result<UrlCredentialSourceFormat, Reason> {
    if !fields.has("format") {
        return Ok(UrlCredentialSourceFormat::Text);
    }
    let format = fields.object("format")?;
    match format.text("type")?.as_str() {
        "text" => Ok(UrlCredentialSourceFormat::Text),
        "json" => Ok(UrlCredentialSourceFormat::Json {
            subject_token_field_name: format.text("subject_token_field_name")?,
        }),
        _ => Err("the field `credential_source.format.type` is neither text nor json".to_owned()),
    }
}

fn headers(fields: &Fields<'_>) -> Result<Option<HashMap<String, String>>, Reason> {
    if !fields.has("headers") {
        return Ok(None);
    }
    let wrong = || "the field `credential_source.headers` holds no HTTP headers".to_owned();
    let headers = fields.object("headers")?;
    let header = |(name, value): (&String, &Value)| {
        let value = value.as_str()?;
        HeaderName::try_from(name).ok()?;
        HeaderValue::try_from(value).ok()?;
        Some((name.clone(), value.to_owned()))
    };
    headers.fields.iter().map(header).collect::<Option<_>>().map(Some).ok_or_else(wrong)
}

fn impersonated(fields: &Fields<'_>) -> Result<Credential, Reason> {
    let impersonation = impersonation(fields)?;
    let source = fields.object("source_credentials")?;
    let base = credential(&source)?;
    if base.impersonation.is_some() {
        return Err("`source_credentials` impersonate a service account themselves, which is not \
                    supported; name the accounts on the way in `delegates`"
            .to_owned());
    }
    Ok(Credential { impersonation: Some(impersonation), ..base })
}

fn impersonation(fields: &Fields<'_>) -> Result<Impersonation, Reason> {
    let url = fields.endpoint("service_account_impersonation_url")?;
    let url = url.parse::<Uri>().ok().filter(|url| url.path().ends_with(GENERATE_ACCESS_TOKEN));
    Ok(Impersonation {
        url: url.ok_or_else(|| {
            format!(
                "the field `service_account_impersonation_url` does not end in \
                 {GENERATE_ACCESS_TOKEN}"
            )
        })?,
        delegates: fields.texts("delegates")?,
    })
}

/// The kinds of credentials that a file's `type` can name.
enum Kind {
    ServiceAccount,
    AuthorizedUser,
    ExternalAccount,
    ImpersonatedServiceAccount,
}

/// The fields of one JSON object, and where in the file it stands.
struct Fields<'a> {
    fields: &'a Map<String, Value>,
    within: &'static str,
}

impl Fields<'_> {
    fn kind(&self) -> Result<Kind, Reason> {
        if self.has("installed") || self.has("web") {
            return Err(
                "it is the file of an OAuth client, which is not a credential by itself; create \
                        a service-account key, or run `gcloud auth application-default login`"
                    .to_owned(),
            );
        }
        match self.text("type")?.as_str() {
            "service_account" => Ok(Kind::ServiceAccount),
            "authorized_user" => Ok(Kind::AuthorizedUser),
            "external_account" => Ok(Kind::ExternalAccount),
            "impersonated_service_account" => Ok(Kind::ImpersonatedServiceAccount),
            _ => Err(format!(
                "the field `{}type` names a kind of credentials that is not supported; those are \
                 service_account, authorized_user, external_account and \
                 impersonated_service_account",
                self.within
            )),
        }
    }

    /// Returns whether the field is present; `null` counts as absent.
    fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<String, Reason> {
        match self.fields.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(format!(
                "the field `{}{name}` is missing, empty or no text; use the file as Google Cloud \
                 made it",
                self.within
            )),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Reason> {
        if !self.has(name) {
            return Ok(Vec::new());
        }
        let list = self.fields.get(name).and_then(Value::as_array);
        list.and_then(|list| {
            list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>()
        })
        .ok_or_else(|| format!("the field `{}{name}` is not a list of strings", self.within))
    }

    fn object(&self, name: &'static str) -> Result<Fields<'_>, Reason> {
        match self.fields.get(name).and_then(Value::as_object) {
            Some(fields) => Ok(Fields { fields, within: prefix(name) }),
            None => Err(format!("the field `{}{name}` is missing or no object", self.within)),
        }
    }

    /// An address that is asked for something; `http` or `https`, without a user in it.
    fn address(&self, name: &str) -> Result<String, Reason> {
        self.text(name).and_then(|text| match is_address(&text) {
            true => Ok(text),
            false => Err(format!(
                "the field `{}{name}` is not an http or https URL of a host",
                self.within
            )),
        })
    }

    /// An address that is sent secrets: `https`, but on this machine also `http`.
    fn endpoint(&self, name: &str) -> Result<String, Reason> {
        self.address(name).and_then(|text| match is_confidential(&text) {
            true => Ok(text),
            false => Err(format!(
                "the field `{}{name}` is not an https URL, and secrets would be sent to it",
                self.within
            )),
        })
    }
}

fn prefix(name: &str) -> &'static str {
    match name {
        "credential_source" => "credential_source.",
        "source_credentials" => "source_credentials.",
        "format" => "credential_source.format.",
        _ => "",
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    })
}

fn is_confidential(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let on_this_machine = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || on_this_machine
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gcs::credentials::testing::{self, Folder, SECRET};

    /// Returns the error of a file with this content.
    fn fault_of(text: &str) -> String {
        let folder = Folder::new();
        let path = folder.write("credentials.json", text);
        let error = read(&path).err().unwrap();
        assert_eq!(error.source_name, path.display().to_string());
        assert!(!error.reason.contains(SECRET), "{error}");
        error.reason
    }

    fn description_of(text: &str) -> String {
        let folder = Folder::new();
        let path = folder.write("credentials.json", text);
        let described = read(&path).map(|credential| credential.describe(Path::new("FILE")));
        described.unwrap()
    }

    /// The content with one field set to something else (`null`: absent).
    fn with(text: &str, pointer: &str, value: Value) -> String {
        let mut content: Value = serde_json::from_str(text).unwrap();
        *content.pointer_mut(pointer).unwrap() = value;
        content.to_string()
    }

    fn external_account(source: Value) -> String {
        json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/pools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": source,
        })
        .to_string()
    }

    fn impersonated(source: &str) -> String {
        let source: Value = serde_json::from_str(source).unwrap();
        json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url":
                "https://iam.example/v1/projects/-/serviceAccounts/a@b.example:generateAccessToken",
            "source_credentials": source,
            "delegates": [],
        })
        .to_string()
    }

    #[test]
    fn description_names_kind_and_identity() {
        let key = testing::service_account("https://token.example/");
        let user = testing::authorized_user();
        let federated = external_account(json!({ "file": "/var/run/token" }));
        assert_eq!(
            description_of(&key),
            "service-account key FILE for uploader@project.iam.gserviceaccount.com"
        );
        assert_eq!(description_of(&user), "user credentials FILE");
        assert_eq!(
            description_of(&federated),
            "identity federation FILE for //iam.googleapis.com/pools/p/providers/q"
        );
        assert_eq!(
            description_of(&impersonated(&user)),
            "user credentials FILE, acting as a@b.example"
        );
        assert_eq!(
            description_of(&impersonated(&key)),
            "service-account key FILE for uploader@project.iam.gserviceaccount.com, acting as \
             a@b.example"
        );
    }

    #[test]
    fn invalid_json_is_reported_by_position_only() {
        let reason = "it is not JSON (line 2, column 6); use the file as Google Cloud made it";
        assert_eq!(fault_of("{\n   s3cret"), reason.replace("column 6", "column 4"));
        assert!(fault_of("").starts_with("it is not JSON"));
        assert!(fault_of("[\"s3cret\"]").starts_with("it is not a JSON object"));
        assert!(fault_of("\u{0}\u{1}s3cret").starts_with("it is not JSON"));
    }

    #[test]
    fn unknown_type_is_rejected_with_the_supported_types() {
        let reason = fault_of(r#"{"type":"s3cret"}"#);
        assert!(reason.contains("external_account"), "{reason}");
        assert!(fault_of("{}").starts_with("the field `type` is missing"));
        assert!(fault_of(r#"{"type":5}"#).starts_with("the field `type` is missing"));
    }

    #[test]
    fn oauth_client_file_is_recognized() {
        let reason = fault_of(r#"{"installed":{"client_secret":"s3cret"}}"#);
        assert!(reason.contains("gcloud auth application-default login"), "{reason}");
    }

    #[test]
    fn missing_required_field_is_named() {
        let key = testing::service_account("https://token.example/");
        let user = testing::authorized_user();
        let federated = external_account(json!({ "file": "f" }));
        let acting = impersonated(&user);
        for (text, fields) in [
            (&key, &["private_key", "client_email"][..]),
            (&user, &["client_id", "client_secret", "refresh_token"]),
            (&federated, &["audience", "subject_token_type", "token_url", "credential_source"]),
            (&acting, &["service_account_impersonation_url", "source_credentials"]),
        ] {
            for field in fields {
                for value in [Value::Null, json!(5), json!(["s3cret"])] {
                    let reason = fault_of(&with(text, &format!("/{field}"), value));
                    assert!(reason.starts_with(&format!("the field `{field}` is missing")));
                }
            }
        }
        let reason = fault_of(&with(&acting, "/source_credentials/refresh_token", Value::Null));
        assert!(reason.starts_with("the field `source_credentials.refresh_token` is missing"));
    }

    #[test]
    fn invalid_private_key_is_rejected() {
        let key = testing::service_account("https://token.example/");
        for wrong in ["s3cret", "-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----"]
        {
            let reason = fault_of(&with(&key, "/private_key", json!(wrong)));
            assert!(
                reason.starts_with("the field `private_key` is not a valid RSA key"),
                "{reason}"
            );
        }
    }

    #[test]
    fn endpoint_without_tls_is_rejected_except_on_localhost() {
        let key = |uri: &str| testing::service_account(uri);
        for uri in ["http://127.0.0.1:5/t", "http://localhost/t", "http://[::1]:5/", "https://a/t"]
        {
            assert!(description_of(&key(uri)).starts_with("service-account key"), "{uri}");
        }
        let reason = fault_of(&key("http://token.example/s3cret"));
        assert_eq!(
            reason,
            "the field `token_uri` is not an https URL, and secrets would be sent to it"
        );
        for uri in ["s3cret", "ftp://a/", "https://u:s3cret@a/", "https:///x", "https://a b/"] {
            let reason = fault_of(&key(uri));
            let expected = "the field `token_uri` is not an http or https URL of a host";
            assert_eq!(reason, expected, "{uri}");
        }
    }

    #[test]
    fn key_without_token_uri_uses_googles() {
        let key = testing::service_account("https://token.example/");
        let folder = Folder::new();
        let path = folder.write("key.json", &with(&key, "/token_uri", Value::Null));
        match read(&path).unwrap().base {
            Base::ServiceAccount(key) => assert_eq!(key.token_uri, GOOGLE_TOKEN_URI),
            _ => panic!("another kind"),
        }
    }

    #[test]
    fn unsupported_subject_token_source_is_named() {
        let json_file = json!({
            "file": "f", "format": { "type": "json", "subject_token_field_name": "t" }
        });
        let aws = json!({ "environment_id": "aws1" });
        let headers = json!({ "url": "http://169.254.169.254/", "headers": { "a b": "s3cret" } });
        let format = json!({ "url": "http://169.254.169.254/", "format": { "type": "s3cret" } });
        for (source, expected) in [
            (json_file, "a subject token that lies in a JSON file is not supported"),
            (aws, "`credential_source` has neither `file` nor `url`"),
            (headers, "the field `credential_source.headers` holds no HTTP headers"),
            (format, "the field `credential_source.format.type` is neither text nor json"),
        ] {
            let reason = fault_of(&external_account(source));
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn nested_impersonation_is_rejected_in_favour_of_delegates() {
        let reason = fault_of(&impersonated(&impersonated(&testing::authorized_user())));
        assert!(reason.contains("`delegates`"), "{reason}");
        let text = impersonated(&testing::authorized_user());
        let reason = fault_of(&with(&text, "/delegates", json!([5])));
        assert_eq!(reason, "the field `delegates` is not a list of strings");
        let url = json!("https://iam.example/v1/other");
        let reason = fault_of(&with(&text, "/service_account_impersonation_url", url));
        assert!(reason.ends_with("does not end in :generateAccessToken"), "{reason}");
    }

    #[test]
    fn oversized_files_and_devices_are_rejected() {
        let folder = Folder::new();
        let large = folder.write("large.json", &" ".repeat(MAX_FILE_BYTES as usize + 1));
        let reason = read(&large).err().unwrap().reason;
        assert!(reason.contains("it is larger than 65536 bytes"), "{reason}");
        let reason = read(large.parent().unwrap()).err().unwrap().reason;
        assert!(reason.contains("it is not a file"), "{reason}");
        // A device from which there is no end of bytes.
        let reason = read(Path::new("/dev/zero")).err().unwrap().reason;
        assert!(reason.contains("it is not a file"), "{reason}");
    }
}
