//! The page at `/`: one self-contained document that uses the public API. It contains no secret, so
//! it needs no token.
//!
//! Style and script are inline, and the Content-Security-Policy allows exactly these, by their
//! SHA-256: an injected script or one from another origin does not run.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::http::response::Response;

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

struct Page {
    html: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
    html: FRAME.replace("{style}", STYLE).replace("{script}", SCRIPT),
    policy: [
        "default-src 'none'",
        &format!("script-src '{}'", source(SCRIPT)),
        &format!("style-src '{}'", source(STYLE)),
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    .join("; "),
});

/// Returns the hash source of an inline element (Content Security Policy Level 3, section 2.3.1).
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// Returns the page with its security headers.
pub(crate) fn response() -> Response {
    Response::new(200, "text/html; charset=utf-8", PAGE.html.as_bytes().to_vec())
        .with_header("Content-Security-Policy", &PAGE.policy)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("Cross-Origin-Opener-Policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text between two markers that occur once.
    fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
        let [_, rest] = text.split(begin).collect::<Vec<_>>()[..] else { panic!("one {begin}") };
        rest.split_once(end).unwrap().0
    }

    #[test]
    fn policy_allows_only_the_inline_style_and_script() {
        let style = source(between(&PAGE.html, "<style>", "</style>"));
        let script = source(between(&PAGE.html, "<script type=\"module\">", "</script>"));
        assert!(PAGE.policy.contains(&format!("style-src '{style}';")));
        assert!(PAGE.policy.contains(&format!("script-src '{script}';")));
        for lax in ["unsafe", "http:", "https:", "*", "nonce"] {
            assert!(!PAGE.policy.contains(lax), "{lax} in {}", PAGE.policy);
        }
    }

    #[test]
    fn nothing_in_the_page_is_what_the_policy_forbids() {
        for forbidden in ["src=", " style=", "onclick=", "@import", "url(", "innerHTML", "{script}"]
        {
            assert!(!PAGE.html.contains(forbidden), "{forbidden}");
        }
    }
}
