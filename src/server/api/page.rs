//! The page for people, at `/`: one document, with all that it needs in it, which then asks the API
//! what anybody may ask it. It holds nothing that is secret, so it needs no token.
//!
//! Its style and its script are in it word for word, and the policy that goes with it allows those
//! alone, by their SHA-256: no script from elsewhere, nor one that somebody smuggles in, is run.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::http::response::Answer;

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

/// How a policy names what stands in a page (Content Security Policy Level 3, 2.3.1).
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// The page, with what a browser is to hold it to.
pub(crate) fn answer() -> Answer {
    Answer::new(200, "text/html; charset=utf-8", PAGE.html.as_bytes().to_vec())
        .with_header("Content-Security-Policy", &PAGE.policy)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("Cross-Origin-Opener-Policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands between these, which are there once.
    fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
        let [_, rest] = text.split(begin).collect::<Vec<_>>()[..] else { panic!("one {begin}") };
        rest.split_once(end).unwrap().0
    }

    #[test]
    fn the_policy_allows_the_style_and_the_script_that_are_in_the_page_and_no_other() {
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
