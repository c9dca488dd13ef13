//! The documents of the page, each with its style and its script in it, and the policy that allows those and nothing else.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;

const PAGE: &str = include_str!("page.html");
const LOGIN: &str = include_str!("login.html");
const CONTINUE: &str = include_str!("continue.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A document with its policy.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) html: Bytes,
    /// The value of Content-Security-Policy.
    pub(super) policy: HeaderValue,
}

/// All documents.
#[derive(Debug)]
pub(super) struct PageDocuments {
    /// The page itself.
    pub(super) page: Document,
    /// The form for the token.
    pub(super) login: Document,
    /// The form for the token, after a wrong one.
    pub(super) wrong_token: Document,
    /// The form for the token, when another attempt has failed a moment ago.
    pub(super) too_early: Document,
    /// A document that leads to the page. A redirect would do so without the cookie, if another site has led to it.
    pub(super) forward: Document,
}

impl PageDocuments {
    pub(super) fn new() -> Self {
        let login = |problem: &str| Document::new(&LOGIN.replace("<!-- problem -->", problem));
        Self {
            page: Document::new(PAGE),
            login: Document::new(LOGIN),
            wrong_token: login(WRONG_TOKEN),
            too_early: login(TOO_EARLY),
            forward: Document::new(CONTINUE),
        }
    }
}

/// The sentence about a wrong token.
const WRONG_TOKEN: &str = "<p class=\"problem\" role=\"alert\">This is not the token. It is the value of <code>page-token</code> in the Proxyfile.</p>";

/// The sentence about an attempt after a wrong token.
const TOO_EARLY: &str = "<p class=\"problem\" role=\"alert\">A wrong token came from this address a moment ago. Wait a second, and try again.</p>";

impl Document {
    /// Puts style and script into the places of the document for them.
    fn new(html: &str) -> Self {
        let style = format!("<style>{STYLE}</style>");
        let script = format!("<script>{SCRIPT}</script>");
        let html = html.replace("<!-- style -->", &style);
        let html = html.replace("<!-- script -->", &script);
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
            source(STYLE),
            source(SCRIPT)
        );
        Self {
            html: html.into(),
            policy: HeaderValue::try_from(policy).expect("base64 is visible ASCII"),
        }
    }
}

/// Returns the hash by which the policy allows an inline style or script.
fn source(text: &str) -> String {
    let hash = STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!("'sha256-{hash}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_needs_nothing_from_outside_and_has_nothing_inline_beside_its_style_and_script() {
        let documents = PageDocuments::new();
        for document in [
            &documents.page,
            &documents.login,
            &documents.wrong_token,
            &documents.too_early,
            &documents.forward,
        ] {
            let html = std::str::from_utf8(&document.html).unwrap();
            for outside in ["src=", "@import", "style=\"", " on", "javascript:", "//"] {
                let markup = html.split("<style>").next().unwrap();
                let body = html.split("</style>").last().unwrap();
                let body = body.split("<script>").next().unwrap();
                let is_there = |part: &str| match outside {
                    " on" => part.contains(" onclick") || part.contains(" onload"),
                    "//" => part
                        .replace("http://www.w3.org/2000/svg", "")
                        .contains("//"),
                    other => part.contains(other),
                };
                assert!(!is_there(markup) && !is_there(body), "{outside}");
            }
            let policy = document.policy.to_str().unwrap();
            assert!(!policy.contains("unsafe"), "{policy}");
        }
        let page = std::str::from_utf8(&documents.page.html).unwrap();
        assert!(page.contains("<style>") && page.contains("<script>"));
        let login = std::str::from_utf8(&documents.wrong_token.html).unwrap();
        assert!(login.contains(WRONG_TOKEN) && !login.contains("<script>"));
    }
}
